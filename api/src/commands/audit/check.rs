//! The verification of one log, wherever it comes from, and its findings in print.

use super::signature;
use audit_chain::{ChainReport, Found, Head, Report, RowState, Rows, StoredCheckpoint, Stretch, Verifier};
use uuid::Uuid;

pub(super) struct Check {
    log: String,
    keys: Vec<Vec<u8>>,
    verifier: Verifier,
    rows: Option<Rows>,
    checkpoints: u64,
    problems: u64,
}

impl Check {
    /// `keys`: who may have signed; none: whoever the checkpoints name.
    pub(super) fn new(log: &str, keys: Vec<Vec<u8>>, rows: bool) -> Self {
        let rows = rows.then(Rows::default);
        Self { log: log.to_owned(), keys, verifier: Verifier::default(), rows, checkpoints: 0, problems: 0 }
    }

    /// Only what is signed is believed.
    pub(super) fn checkpoint(&mut self, stored: &StoredCheckpoint) {
        if stored.checkpoint.log == self.log && signature::holds(stored, &self.keys) {
            self.checkpoints += 1;
            self.verifier.add_checkpoint(&stored.checkpoint);
        } else {
            self.problem(&format!("the checkpoint of {} is not signed by the audit key", stored.checkpoint.created_at));
        }
    }

    /// Those of this log among checkpoints from elsewhere.
    pub(super) fn kept(&mut self, kept: &[StoredCheckpoint]) {
        for stored in kept {
            if stored.checkpoint.log == self.log {
                self.checkpoint(stored);
            }
        }
    }

    pub(super) fn found(&mut self, found: &Found) {
        self.verifier.take_found(found);
        if let (Some(rows), Found::Record(record)) = (&mut self.rows, found) {
            rows.take(&record.event);
        }
    }

    pub(super) fn start(&mut self, head: Head) {
        if head.seq > 0 {
            self.say(&format!(
                "chain {} starts after record {}: what came before is not in this file",
                head.chain_id, head.seq
            ));
        }
        self.verifier.continue_from(head);
    }

    /// Lies in an exported file, as a record of the log says.
    pub(super) fn detached(&mut self, stretch: Stretch) {
        self.verifier.detached(stretch);
    }

    /// Where each chain stands now.
    pub(super) fn heads(&self) -> Vec<Head> {
        self.verifier.heads().collect()
    }

    pub(super) fn head(&mut self, head: Head) {
        self.verifier.expect_head(head);
    }

    /// Whether rows are to be compared.
    pub(super) fn wants_rows(&self) -> bool {
        self.rows.is_some()
    }

    pub(super) fn row(&mut self, table: &str, id: Uuid, row: RowState) {
        if let Some(rows) = &mut self.rows {
            rows.compare(table, id, row);
        }
    }

    pub(super) fn problem(&mut self, text: &str) {
        self.problems += 1;
        self.say(text);
    }

    #[expect(clippy::print_stdout, reason = "the findings are what was asked for")]
    pub(super) fn say(&self, text: &str) {
        println!("{}: {text}", self.log);
    }

    /// Prints what was found; whether nothing was, and the whole of it.
    pub(super) fn finish(mut self) -> (bool, Report) {
        let report = std::mem::take(&mut self.verifier).finish();
        report.breaks.iter().for_each(|found| self.problem(&found.to_string()));
        let detached = report.chains.iter().any(|chain| !chain.detached.is_empty());
        match self.rows.take() {
            Some(_) if detached => self.problem(
                "rows can only be compared with the whole log: give the exported files of its detached months by --exported",
            ),
            rows => rows.map(Rows::finish).unwrap_or_default().iter().for_each(|found| self.problem(&found.to_string())),
        }
        for chain in &report.chains {
            for (first, last) in &chain.detached {
                self.say(&format!(
                    "chain {}: records {first}-{last} are in exported files, as a record of this log says (audit.detach); they were not looked \
                     at: give the files by --exported",
                    chain.chain_id
                ));
            }
        }
        report.chains.iter().for_each(|chain| self.say(&describe(chain)));
        let good = self.problems == 0;
        let verdict = if good { "holds" } else { "DOES NOT HOLD" };
        let (records, chains) = (report.records(), report.chains.len());
        self.say(&format!("{verdict}: {records} records in {chains} chains, {} signed checkpoints", self.checkpoints));
        (good, report)
    }
}

/// What is worth knowing beside the findings.
#[expect(clippy::print_stdout, reason = "whoever reads the findings is to read it")]
pub(super) fn remark(text: &str) {
    println!("{text}");
}

fn describe(chain: &ChainReport) -> String {
    let verdict = match chain.breaks {
        0 => "OK".to_owned(),
        1 => "1 break".to_owned(),
        more => format!("{more} breaks"),
    };
    let range = chain.first_seq.map_or_else(|| "none".to_owned(), |first| format!("{first}-{}", chain.head.seq));
    format!(
        "chain {}: {verdict}: {} records ({range}), signed up to {}",
        chain.chain_id,
        chain.records,
        if chain.vouched_seq == 0 { "none".to_owned() } else { chain.vouched_seq.to_string() }
    )
}
