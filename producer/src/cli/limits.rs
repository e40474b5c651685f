//! The limits of a version: how much of a type it may remove or change before the command line must allow it.
//!
//! A source that was cut off looks like one from which records were removed. So `run` and `republish` refuse to remove more
//! than a share; the message names the option that lifts the limit.

use std::fmt;
use std::str::FromStr;

use crate::{BoxError, Validator, View};
use cenote_store::cli::counted;
use clap::Args;

/// How much a version may take away.
#[derive(Args, Clone, Debug)]
pub(super) struct LimitArgs {
    /// Refuse to remove more records of a type than this, a number or a share like 10%; 100% removes the limit. A share allows
    /// one record of three or more at least
    #[arg(long, value_name = "N|N%", default_value = "10%")]
    max_removed: Limit,
    /// Refuse to give more records of a type new values than this, a number or a share; 100% is no limit
    #[arg(long, value_name = "N|N%", default_value = "100%")]
    max_changed: Limit,
}

/// A number of records, or a share of those that the type has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Records(u64),
    Percent(f64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        let wrong = || format!("{text} is no limit; write a number of records, like 500, or a share from 0% to 100%");
        match text.strip_suffix('%') {
            None => text.parse().map(Limit::Records).map_err(|_| wrong()),
            Some(percent) => match percent.parse() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Limit::Percent(percent)),
                _ => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Records(records) => records.fmt(f),
            Limit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Limit {
    /// How many of so many records it allows.
    fn of(self, records: u64) -> u64 {
        match self {
            Limit::Records(limit) => limit,
            Limit::Percent(percent) => {
                let share = (records as f64 * percent / 100.0) as u64;
                let least = u64::from(percent > 0.0 && records > 2);
                share.max(least)
            }
        }
    }
}

/// Refuses a version that passes the limits in any root type.
pub(super) struct Limits(pub(super) LimitArgs);

impl Validator for Limits {
    fn name(&self) -> String {
        "limits".to_owned()
    }

    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError> {
        let mut said = Vec::new();
        for before in old.named_tables().filter(|table| table.schema().is_root() && !table.is_empty()) {
            let (name, had) = (&before.schema().name, before.len() as u64);
            let diff = new.named_diff(old, name);
            let LimitArgs { max_removed, max_changed } = self.0;
            let cases = [
                ("remove", diff.removed.len() as u64, "--max-removed", max_removed),
                ("change", diff.updated.len() as u64, "--max-changed", max_changed),
            ];
            for (verb, found, option, limit) in cases {
                if found > limit.of(had) {
                    let of = counted(had, "record");
                    said.push(format!(
                        "it would {verb} {} of {of} of {name}, more than {option} {limit} allows; if you mean that, add \
                         {option} {found}",
                        counted(found, "record"),
                    ));
                }
            }
        }
        if said.is_empty() { Ok(()) } else { Err(format!("{}; --dry-run shows the records", said.join("; ")).into()) }
    }

    fn is_asked_of_old_versions(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        let limit = |text: &str| text.parse::<Limit>();
        assert_eq!(limit("500"), Ok(Limit::Records(500)));
        assert_eq!(limit("12.5%").map(|limit| (limit.of(80), limit.to_string())), Ok((10, "12.5%".to_owned())));
        assert_eq!(
            [0, 1, 2, 3, 9, 20].map(|records| limit("10%").map(|limit| limit.of(records))),
            [0, 0, 0, 1, 1, 2].map(Ok)
        );
        assert_eq!(limit("0%").map(|limit| limit.of(1_000)), Ok(0));
        for wrong in ["", "%", "-1", "ten", "101%", "-1%", "NaN%", "0.5"] {
            assert!(limit(wrong).is_err_and(|error| error.contains("0% to 100%")), "{wrong}");
        }
    }
}
