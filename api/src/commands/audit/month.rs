//! `YYYY-MM`.

use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use std::fmt;
use std::str::FromStr;

/// A month of the calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Month(NaiveDate);

impl Month {
    /// Its first moment and that of the next one.
    pub(super) fn bounds(self) -> (DateTime<Utc>, DateTime<Utc>) {
        let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        (start(self.0), start(self.0.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)))
    }
}

impl FromStr for Month {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a month is YYYY-MM, as in 2026-11";
        let (year, month) = text.split_once('-').ok_or(wrong)?;
        let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(wrong);
        }
        let (year, month) = (year.parse().map_err(|_| wrong)?, month.parse().map_err(|_| wrong)?);
        NaiveDate::from_ymd_opt(year, month, 1).map(Self).ok_or(wrong)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_and_has_its_bounds() {
        let month: Month = "2026-12".parse().expect("a month");
        assert_eq!(month.to_string(), "2026-12");
        let (from, until) = month.bounds();
        assert_eq!(
            (from.to_rfc3339(), until.to_rfc3339()),
            ("2026-12-01T00:00:00+00:00".into(), "2027-01-01T00:00:00+00:00".into())
        );
        for wrong in ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "+026-01", "2026-01-01", "2026-+1"] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
