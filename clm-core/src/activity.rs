//! How many clients there are: those who were given a token, as the audit log tells it. Nothing is counted beside it.

use crate::core::Core;
use crate::error::Result;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};
use uuid::Uuid;

/// Clients: entities that logged in or made tokens, and tokens that are of no entity, those with the same policies counting as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Entities.
    pub entities: i64,
    /// Tokens of none.
    pub non_entities: i64,
}

/// Those of one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthOfClients {
    /// All of them.
    pub all: Clients,
    /// Those that no earlier month of the period has.
    pub new: Clients,
}

impl Clients {
    /// Both kinds.
    pub fn total(self) -> i64 {
        self.entities + self.non_entities
    }
}

impl Add for Clients {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { entities: self.entities + other.entities, non_entities: self.non_entities + other.non_entities }
    }
}

impl AddAssign for Clients {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Core {
    /// An organization's clients between two moments, by the first moment of each month (UTC) that has any. Months that were taken out of the
    /// audit log have none.
    pub async fn clients(
        &self,
        organization_id: Uuid,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, MonthOfClients>> {
        let mut months: BTreeMap<_, MonthOfClients> = BTreeMap::new();
        for row in self.store().clients(organization_id, from, until).await? {
            let month = months.entry(row.month).or_default();
            let counted = |count| {
                if row.are_entities {
                    Clients { entities: count, non_entities: 0 }
                } else {
                    Clients { entities: 0, non_entities: count }
                }
            };
            month.all += counted(row.clients);
            month.new += counted(row.new_clients);
        }
        Ok(months)
    }
}
