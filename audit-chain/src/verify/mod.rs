//! Verification: walks records in order and names each place where a chain does not hold.

mod breaks;
#[cfg(test)]
mod tests;

pub use breaks::{Break, BreakKind};

use crate::{Checkpoint, ENCODING_VERSION, Found, Hash, Head, Record, Stretch, Unreadable};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What was found in one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Which chain.
    pub chain_id: Uuid,
    /// Records seen.
    pub records: u64,
    /// Number of the first one.
    pub first_seq: Option<i64>,
    /// Where the chain stands after the last one.
    pub head: Head,
    /// Newest number that a signed checkpoint vouches for; what comes later could be cut off unseen.
    pub vouched_seq: i64,
    /// Breaks in it.
    pub breaks: usize,
    /// First and last numbers of what lies in exported files and was not looked at.
    pub detached: Vec<(i64, i64)>,
}

/// What was found in all chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By chain id.
    pub chains: Vec<ChainReport>,
    /// In the order found.
    pub breaks: Vec<Break>,
}

impl Report {
    /// Records seen.
    pub fn records(&self) -> u64 {
        self.chains.iter().map(|chain| chain.records).sum()
    }
}

/// Walks any number of chains; records of each must come in order of their stored number. Keeps no record, only where each chain stands.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    chains: BTreeMap<Uuid, Chain>,
    breaks: Vec<Break>,
}

#[derive(Clone, Debug)]
struct Chain {
    head: Head,
    /// The newest record was unreadable, so what is said of it cannot be compared.
    blind: bool,
    records: u64,
    first_seq: Option<i64>,
    /// What checkpoints say of records still to come: number → hash.
    known: BTreeMap<i64, Hash>,
    vouched_seq: i64,
    /// What the chain's own row says.
    claimed: Option<Head>,
    /// What lies in exported files, by the number before it.
    detached: BTreeMap<i64, Stretch>,
    /// The newest record that is here and in an exported file too.
    stray: Option<Head>,
    /// What was left to exported files: first and last numbers.
    passed: Vec<(i64, i64)>,
}

impl Verifier {
    /// Checkpoints whose signatures the caller has checked.
    pub fn new<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let mut verifier = Self::default();
        checkpoints.into_iter().for_each(|checkpoint| verifier.add_checkpoint(checkpoint));
        verifier
    }

    /// Another checkpoint whose signature the caller has checked. What it says of records already taken is compared only with the newest.
    pub fn add_checkpoint(&mut self, checkpoint: &Checkpoint) {
        for said in checkpoint.heads.iter().filter(|said| said.seq > 0) {
            let chain = self.chains.entry(said.chain_id).or_insert_with(|| Chain::new(Head::new(said.chain_id)));
            chain.vouched_seq = chain.vouched_seq.max(said.seq);
            if said.seq == chain.head.seq && said.hash != chain.head.hash && !chain.blind {
                self.breaks.push(Break::at(*said, None, BreakKind::ContradictsCheckpoint));
            } else if said.seq > chain.head.seq
                && chain.known.insert(said.seq, said.hash).is_some_and(|other| other != said.hash)
            {
                self.breaks.push(Break::at(*said, None, BreakKind::Forked));
            }
        }
    }

    /// The records of this chain that are to come follow `head`; those before it are somewhere else (in last month's file). Where the
    /// chain is known already, it must stand there.
    pub fn continue_from(&mut self, head: Head) {
        let chain = self.chains.entry(head.chain_id).or_insert_with(|| Chain::new(Head::new(head.chain_id)));
        chain.pass_detached(head.seq + 1, &mut self.breaks);
        if chain.head.seq == 0 {
            chain.head = head;
            chain.known = chain.known.split_off(&head.seq);
            if chain.known.remove(&head.seq).is_some_and(|known| known != head.hash) {
                self.breaks.push(Break::at(head, None, BreakKind::ContradictsCheckpoint));
            }
        } else if head.seq > chain.head.seq {
            let first = chain.head.seq + 1;
            self.breaks.push(Break { first, ..Break::at(head, None, BreakKind::Missing) });
            chain.head = head;
        } else if head != chain.head && !chain.blind {
            self.breaks.push(Break::at(head, None, BreakKind::Reordered));
        }
    }

    /// These records lie in an exported file and need not come: the chain goes on behind them.
    pub fn detached(&mut self, stretch: Stretch) {
        let chain_id = stretch.start.chain_id;
        let chain = self.chains.entry(chain_id).or_insert_with(|| Chain::new(Head::new(chain_id)));
        chain.detached.insert(stretch.start.seq, stretch);
    }

    /// Where each chain stands now.
    pub fn heads(&self) -> impl Iterator<Item = Head> + '_ {
        self.chains.values().map(|chain| chain.head)
    }

    /// What the chain's own row says of its newest record, read in one snapshot with the records.
    pub fn expect_head(&mut self, head: Head) {
        self.chains.entry(head.chain_id).or_insert_with(|| Chain::new(Head::new(head.chain_id))).claimed = Some(head);
    }

    /// Takes what was found next.
    pub fn take_found(&mut self, found: &Found) {
        match found {
            Found::Record(record) => self.take(record),
            Found::Unreadable(unreadable) => self.take_unreadable(unreadable),
        }
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        let Self { chains, breaks } = self;
        if let Some(chain) = chains.get_mut(&record.chain_id) {
            chain.pass_detached(record.seq, breaks);
            if chain.take_stray(record, breaks) {
                return;
            }
        }
        let Some((chain, blind)) = step(chains, breaks, record.head(), Some(record.event.id)) else { return };
        let known = chain.known.remove(&record.seq);
        let follows = blind || record.previous_hash == chain.head.hash;
        chain.head = record.head();
        let mut broken = |kind| breaks.push(Break::at(record.head(), Some(record.event.id), kind));
        if !follows {
            broken(BreakKind::WrongPrevious);
        }
        if record.encoding_version != ENCODING_VERSION {
            broken(BreakKind::Unreadable);
        } else if !record.is_whole() {
            broken(BreakKind::Edited);
        }
        if known.is_some_and(|known| known != record.hash) {
            broken(BreakKind::ContradictsCheckpoint);
        }
    }

    /// Takes the next record, which cannot be read.
    pub fn take_unreadable(&mut self, unreadable: &Unreadable) {
        let head = Head { chain_id: unreadable.chain_id, seq: unreadable.seq, hash: [0; 32] };
        let Self { chains, breaks } = self;
        let Some((chain, _)) = step(chains, breaks, head, unreadable.event_id) else { return };
        chain.known.remove(&head.seq);
        chain.head = head;
        chain.blind = true;
        breaks.push(Break::at(head, unreadable.event_id, BreakKind::Unreadable));
    }

    /// All chains and breaks; the tails are compared with the checkpoints and the chains' own rows.
    pub fn finish(mut self) -> Report {
        for chain in self.chains.values_mut() {
            chain.pass_detached(i64::MAX, &mut self.breaks);
            let last = chain.head.seq;
            if let Some((seq, hash)) = chain.known.last_key_value() {
                let head = Head { chain_id: chain.head.chain_id, seq: *seq, hash: *hash };
                self.breaks.push(Break { first: last + 1, ..Break::at(head, None, BreakKind::Truncated) });
            } else if let Some(claimed) = chain.claimed
                && (claimed.seq != last || (claimed.hash != chain.head.hash && !chain.blind))
            {
                let first = claimed.seq.min(last) + i64::from(claimed.seq != last);
                let head = Head { seq: claimed.seq.max(last), ..claimed };
                self.breaks.push(Break { first, ..Break::at(head, None, BreakKind::ContradictsHead) });
            }
        }
        let breaks_of = |id: Uuid| self.breaks.iter().filter(|found| found.chain_id == id).count();
        let report = |chain: &Chain| ChainReport {
            chain_id: chain.head.chain_id,
            records: chain.records,
            first_seq: chain.first_seq,
            head: chain.head,
            vouched_seq: chain.vouched_seq,
            breaks: breaks_of(chain.head.chain_id),
            detached: chain.passed.clone(),
        };
        let chains = self.chains.values().map(report).collect();
        Report { chains, breaks: self.breaks }
    }
}

/// Counts a record and looks at its number; says whether its link cannot be compared. `None`: out of order, and already named.
fn step<'a>(
    chains: &'a mut BTreeMap<Uuid, Chain>,
    breaks: &mut Vec<Break>,
    at: Head,
    event_id: Option<Uuid>,
) -> Option<(&'a mut Chain, bool)> {
    let chain = chains.entry(at.chain_id).or_insert_with(|| Chain::new(Head::new(at.chain_id)));
    chain.records += 1;
    chain.pass_detached(at.seq, breaks);
    let expected = chain.head.seq + 1;
    if at.seq < expected {
        breaks.push(Break::at(at, event_id, BreakKind::Reordered));
        return None;
    }
    chain.first_seq.get_or_insert(at.seq);
    let mut blind = std::mem::take(&mut chain.blind);
    if at.seq > expected {
        let last = Head { seq: at.seq - 1, ..at };
        breaks.push(Break { first: expected, ..Break::at(last, None, BreakKind::Missing) });
        // One finding is enough: that this one does not follow the last one seen is a matter of course.
        blind = true;
        chain.known = chain.known.split_off(&at.seq);
    }
    Some((chain, blind))
}

impl Chain {
    fn new(head: Head) -> Self {
        Self {
            head,
            blind: false,
            records: 0,
            first_seq: None,
            known: BTreeMap::new(),
            vouched_seq: 0,
            claimed: None,
            detached: BTreeMap::new(),
            stray: None,
            passed: Vec::new(),
        }
    }

    /// What lies in an exported file and would come next, or has begun to.
    fn stretch(&self) -> Option<Stretch> {
        let (_, stretch) = self.detached.range(..=self.head.seq).next_back()?;
        (stretch.end.seq > self.head.seq).then_some(*stretch)
    }

    /// Goes to the end of what lies in exported files, if `next` comes after that.
    fn pass_detached(&mut self, next: i64, breaks: &mut Vec<Break>) {
        while next > self.head.seq + 1
            && let Some(stretch) = self.stretch()
            && stretch.end.seq < next
        {
            if stretch.start.seq == self.head.seq && stretch.start.hash != self.head.hash && !self.blind {
                breaks.push(Break::at(stretch.start, None, BreakKind::ContradictsExport));
            }
            self.blind = false;
            self.passed.push((self.head.seq + 1, stretch.end.seq));
            self.head = stretch.end;
            self.known = self.known.split_off(&stretch.end.seq);
            if self.known.remove(&stretch.end.seq).is_some_and(|known| known != stretch.end.hash) {
                breaks.push(Break::at(stretch.end, None, BreakKind::ContradictsCheckpoint));
            }
        }
    }

    /// A record whose time puts it into another month than its number does: it is here and in the exported file. Whether it was.
    fn take_stray(&mut self, record: &Record, breaks: &mut Vec<Break>) -> bool {
        let Some(stretch) = self.stretch() else { return false };
        if record.seq == self.head.seq + 1 || !stretch.holds(record.chain_id, record.seq) {
            return false;
        }
        self.records += 1;
        self.first_seq.get_or_insert(record.seq);
        let mut broken = |kind| breaks.push(Break::at(record.head(), Some(record.event.id), kind));
        if self.stray.is_some_and(|stray| stray.seq + 1 == record.seq && stray.hash != record.previous_hash) {
            broken(BreakKind::WrongPrevious);
        }
        if !record.is_whole() {
            broken(BreakKind::Edited);
        }
        if self.known.get(&record.seq).is_some_and(|known| *known != record.hash) {
            broken(BreakKind::ContradictsCheckpoint);
        }
        if record.seq == stretch.end.seq && record.hash != stretch.end.hash {
            broken(BreakKind::ContradictsExport);
        }
        self.stray = Some(record.head());
        true
    }
}
