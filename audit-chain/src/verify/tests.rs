use super::*;
use crate::testing::{test_chain, test_event};
use crate::{Outcome, Severity, Value, record_hash};
use chrono::{DateTime, Duration};
use proptest::prelude::*;
use proptest::sample::Index;

fn checkpoint(heads: &[Head]) -> Checkpoint {
    Checkpoint { log: "audit_log".into(), created_at: DateTime::UNIX_EPOCH, heads: heads.to_vec() }
}

/// Breaks against a checkpoint of where the chain stood.
fn breaks(records: &[Record], head: Head) -> Vec<Break> {
    let mut verifier = Verifier::new([&checkpoint(&[head])]);
    records.iter().for_each(|record| verifier.take(record));
    verifier.finish().breaks
}

fn rehash(record: &mut Record) {
    record.hash = record_hash(record.chain_id, record.seq, &record.previous_hash, &record.event);
}

proptest! {
    #[test]
    fn an_untouched_chain_holds(length in 1u8..40) {
        let (records, head) = test_chain(9, length);
        prop_assert_eq!(breaks(&records, head), vec![]);
    }

    #[test]
    fn an_edited_record_is_named(length in 1u8..40, at in any::<Index>(), what in 0..18) {
        let (mut records, head) = test_chain(9, length);
        let at = at.index(records.len());
        let event = &mut records[at].event;
        match what {
            0 => event.id = Uuid::nil(),
            1 => event.timestamp += Duration::microseconds(1),
            2 => event.event_type = "key.read".into(),
            3 => event.category = "export".into(),
            4 => event.severity = Severity::Warning,
            5 => event.organization_id = Uuid::nil(),
            6 => event.resource_type = "other".into(),
            7 => event.resource_id = None,
            8 => event.action = "read".into(),
            9 => event.outcome = Outcome::Failure,
            10 => event.error_message = None,
            11 => event.result_sha256 = None,
            12 => event.request_id = Uuid::nil(),
            13 => event.user_id = None,
            14 => event.accessor = Some("other".into()),
            15 => event.ip_address = Some(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()),
            16 => event.user_agent = None,
            _ => { event.data.insert("version".into(), Value::Text("1".into())); }
        }
        let id = event.id;
        let found = breaks(&records, head);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!((found[0].kind, found[0].seq, found[0].event_id), (BreakKind::Edited, records[at].seq, Some(id)));
    }

    #[test]
    fn an_edit_with_its_hash_made_anew_is_named(length in 1u8..40, at in any::<Index>()) {
        let (mut records, head) = test_chain(9, length);
        let at = at.index(records.len());
        records[at].event.resource_id = Some("other".into());
        rehash(&mut records[at]);
        let found = breaks(&records, head);
        let last = at + 1 == records.len();
        let (kind, seq) = if last {
            (BreakKind::ContradictsCheckpoint, records[at].seq)
        } else {
            (BreakKind::WrongPrevious, records[at].seq + 1)
        };
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!((found[0].kind, found[0].seq), (kind, seq));
    }

    #[test]
    fn an_edit_with_all_later_hashes_made_anew_contradicts_the_checkpoint(length in 1u8..40, at in any::<Index>()) {
        let (mut records, head) = test_chain(9, length);
        let at = at.index(records.len());
        records[at].event.resource_id = Some("other".into());
        for at in at..records.len() {
            if at > 0 {
                records[at].previous_hash = records[at - 1].hash;
            }
            rehash(&mut records[at]);
        }
        let found = breaks(&records, head);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!((found[0].kind, found[0].seq), (BreakKind::ContradictsCheckpoint, head.seq));
    }

    #[test]
    fn deleted_records_are_named(length in 2u8..40, from in any::<Index>(), count in 1usize..4) {
        let (mut records, head) = test_chain(9, length);
        let from = from.index(records.len());
        let until = (from + count).min(records.len());
        let deleted: Vec<_> = records.drain(from..until).collect();
        let found = breaks(&records, head);
        let kind = if until == usize::from(length) { BreakKind::Truncated } else { BreakKind::Missing };
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].kind, kind);
        prop_assert_eq!((found[0].first, found[0].seq), (deleted[0].seq, deleted[deleted.len() - 1].seq));
    }

    #[test]
    fn records_in_another_order_are_named(length in 2u8..40, at in any::<Index>()) {
        let (mut records, head) = test_chain(9, length);
        let at = at.index(records.len() - 1);
        records.swap(at, at + 1);
        let found = breaks(&records, head);
        let late = |found: &Break| found.kind == BreakKind::Reordered && found.seq == records[at + 1].seq;
        prop_assert!(found.iter().any(late));
    }

    #[test]
    fn contents_that_changed_places_are_named(length in 2u8..40, at in any::<Index>()) {
        let (mut records, head) = test_chain(9, length);
        let at = at.index(records.len() - 1);
        let (first, second) = (records[at].clone(), records[at + 1].clone());
        records[at] = Record { seq: first.seq, ..second.clone() };
        records[at + 1] = Record { seq: second.seq, ..first };
        let edited: Vec<_> = breaks(&records, head)
            .into_iter()
            .filter(|found| found.kind == BreakKind::Edited)
            .map(|found| found.seq)
            .collect();
        prop_assert_eq!(edited, vec![records[at].seq, records[at + 1].seq]);
    }

    #[test]
    fn a_doubled_record_is_named(length in 1u8..40, at in any::<Index>()) {
        let (mut records, head) = test_chain(9, length);
        let at = at.index(records.len());
        records.insert(at, records[at].clone());
        let found = breaks(&records, head);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!((found[0].kind, found[0].seq), (BreakKind::Reordered, records[at].seq));
    }

    #[test]
    fn a_cut_tail_is_named(length in 1u8..40, cut in any::<Index>()) {
        let (mut records, head) = test_chain(9, length);
        let keep = cut.index(records.len());
        records.truncate(keep);
        let found = breaks(&records, head);
        prop_assert_eq!(found.len(), 1);
        let first = i64::try_from(keep).expect("small") + 1;
        prop_assert_eq!((found[0].kind, found[0].first, found[0].seq), (BreakKind::Truncated, first, head.seq));
    }

    #[test]
    fn an_unreadable_record_is_named_and_the_rest_still_verified(length in 1u8..40, at in any::<Index>()) {
        let (records, head) = test_chain(9, length);
        let at = at.index(records.len());
        let mut verifier = Verifier::new([&checkpoint(&[head])]);
        for (number, record) in records.iter().enumerate() {
            verifier.take_found(&if number == at {
                let (chain_id, seq, event_id) = (record.chain_id, record.seq, Some(record.event.id));
                Found::Unreadable(Unreadable { chain_id, seq, event_id })
            } else {
                Found::Record(Box::new(record.clone()))
            });
        }
        let found = verifier.finish().breaks;
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!((found[0].kind, found[0].event_id), (BreakKind::Unreadable, Some(records[at].event.id)));
    }

    #[test]
    fn a_log_in_parts_holds_as_the_whole_does(length in 2u8..40, cut in any::<Index>()) {
        let (records, head) = test_chain(9, length);
        let (first, second) = records.split_at(1 + cut.index(records.len() - 1));
        let between = first[first.len() - 1].head();
        // Only the second part: what came before is its claim.
        let mut alone = Verifier::new([&checkpoint(&[head])]);
        alone.continue_from(between);
        second.iter().for_each(|record| alone.take(record));
        prop_assert_eq!(alone.finish().breaks, vec![]);
        // Both: the claim is checked.
        let both = |claim: Head| {
            let mut verifier = Verifier::new([&checkpoint(&[between])]);
            first.iter().for_each(|record| verifier.take(record));
            verifier.add_checkpoint(&checkpoint(&[head]));
            verifier.continue_from(claim);
            second.iter().for_each(|record| verifier.take(record));
            verifier.finish().breaks
        };
        prop_assert_eq!(both(between), vec![]);
        for wrong in [Head { hash: [1; 32], ..between }, Head { seq: between.seq + 1, ..between }] {
            let found = both(wrong);
            prop_assert!(!found.is_empty());
        }
    }
}

#[test]
fn chains_are_told_apart() {
    let ((mut first, first_head), (second, second_head)) = (test_chain(1, 3), test_chain(2, 5));
    first.pop();
    let mut verifier = Verifier::new([&checkpoint(&[first_head, second_head])]);
    first.iter().chain(&second).for_each(|record| verifier.take(record));
    let report = verifier.finish();
    assert_eq!(report.records(), 7);
    let chains: Vec<_> = report
        .chains
        .iter()
        .map(|chain| (chain.records, chain.first_seq, chain.head.seq, chain.vouched_seq, chain.breaks))
        .collect();
    assert_eq!(chains, [(2, Some(1), 2, 3, 1), (5, Some(1), 5, 5, 0)]);
    assert_eq!(report.breaks[0].chain_id, first_head.chain_id);
}

#[test]
fn a_chain_that_is_gone_altogether_is_missed() {
    let (_, head) = test_chain(1, 3);
    let found = breaks(&[], head);
    assert_eq!((found[0].kind, found[0].first, found[0].seq), (BreakKind::Truncated, 1, 3));
}

#[test]
fn checkpoints_that_contradict_each_other_are_named() {
    let (_, head) = test_chain(1, 3);
    let other = Head { hash: [7; 32], ..head };
    let verifier = Verifier::new([&checkpoint(&[head]), &checkpoint(&[other])]);
    assert_eq!(verifier.finish().breaks[0].kind, BreakKind::Forked);
}

#[test]
fn the_chains_own_row_tells_of_a_tail_that_no_checkpoint_knows() {
    let (records, head) = test_chain(1, 3);
    let against = |records: &[Record], head: Head| {
        let mut verifier = Verifier::default();
        records.iter().for_each(|record| verifier.take(record));
        verifier.expect_head(head);
        verifier.finish().breaks.first().map(|found| (found.kind, found.first, found.seq))
    };
    assert_eq!(against(&records, head), None);
    assert_eq!(against(&records[..1], head), Some((BreakKind::ContradictsHead, 2, 3)));
    assert_eq!(against(&records, records[1].head()), Some((BreakKind::ContradictsHead, 3, 3)));
    assert_eq!(against(&records, Head { hash: [7; 32], ..head }), Some((BreakKind::ContradictsHead, 3, 3)));
}

#[test]
fn a_record_of_an_unknown_encoding_is_not_believed() {
    let (mut records, head) = test_chain(1, 1);
    records[0].encoding_version = 2;
    assert_eq!(breaks(&records, head)[0].kind, BreakKind::Unreadable);
    records[0].encoding_version = ENCODING_VERSION;
    records[0].event = test_event(2);
    assert_eq!(breaks(&records, head)[0].kind, BreakKind::Edited);
}

#[test]
fn a_detached_month_needs_not_come_and_any_other_is_missing() {
    let (records, head) = test_chain(9, 10);
    let stretch = Stretch { start: Head::new(head.chain_id), end: records[5].head() };
    let verify = |stretches: &[Stretch], seqs: &[usize]| {
        let mut verifier = Verifier::new([&checkpoint(&[head, records[3].head()])]);
        stretches.iter().for_each(|stretch| verifier.detached(*stretch));
        seqs.iter().for_each(|seq| verifier.take(&records[seq - 1]));
        verifier.expect_head(head);
        let report = verifier.finish();
        let found = report.breaks.iter().map(|found| (found.first, found.seq, found.kind)).collect::<Vec<_>>();
        (found, report.chains[0].detached.clone())
    };
    assert_eq!(verify(&[stretch], &[7, 8, 9, 10]), (vec![], vec![(1, 6)]));
    assert_eq!(verify(&[], &[7, 8, 9, 10]).0, [(1, 6, BreakKind::Missing)]);
    assert_eq!(verify(&[stretch], &[8, 9, 10]).0, [(7, 7, BreakKind::Missing)]);
    // Records of its numbers that lie in another month's partition.
    assert_eq!(verify(&[stretch], &[1, 4, 5, 6, 7, 8, 9, 10]), (vec![], vec![(2, 6)]));
    // Attached again.
    assert_eq!(verify(&[stretch], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), (vec![], vec![]));
    // Nothing of the chain is left, or only what came before.
    let rest = Stretch { start: stretch.end, end: head };
    assert_eq!(verify(&[stretch, rest], &[]), (vec![], vec![(1, 6), (7, 10)]));
    assert_eq!(verify(&[rest], &[1, 2, 3, 4, 5, 6]), (vec![], vec![(7, 10)]));
    let other = Stretch { end: Head { hash: [7; 32], ..stretch.end }, ..stretch };
    assert_eq!(verify(&[other], &[7, 8, 9, 10]).0, [(7, 7, BreakKind::WrongPrevious)]);
    let other = Stretch { start: Head { hash: [7; 32], ..rest.start }, ..rest };
    assert_eq!(verify(&[other], &[1, 2, 3, 4, 5, 6]).0, [(6, 6, BreakKind::ContradictsExport)]);
}

#[test]
fn a_record_beside_its_exported_month_is_held_against_it() {
    let (mut records, head) = test_chain(9, 6);
    let stretch = Stretch { start: Head::new(head.chain_id), end: records[4].head() };
    let kinds = |records: &[Record]| {
        let mut verifier = Verifier::default();
        verifier.detached(stretch);
        records.iter().for_each(|record| verifier.take(record));
        verifier.finish().breaks.iter().map(|found| (found.seq, found.kind)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&records[2..]), []);
    records[2].event.resource_id = None;
    assert_eq!(kinds(&records[2..]), [(3, BreakKind::Edited)]);
    rehash(&mut records[2]);
    assert_eq!(kinds(&records[2..]), [(4, BreakKind::WrongPrevious)]);
    records[4].event.resource_id = None;
    rehash(&mut records[4]);
    assert_eq!(kinds(&records[4..5]), [(5, BreakKind::ContradictsExport)]);
}
