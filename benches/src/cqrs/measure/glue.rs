//! Glue: lines that a team writes itself to have this read side, libraries and servers excluded.
//!
//! They stand between marks in the sources of the baseline and of the engine's side alike: `// glue: outbox, cdc` begins
//! what these strategies need, `// glue end` ends it. Blank lines and comments don't count, nor does what all share: the
//! domain, commands, metrics, faults.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::cqrs::Answer;
use crate::cqrs::strategy::Strategy;

/// Lines by strategy, in the order of [`Strategy::ALL`]; `None` where the sources are not there.
pub fn glue() -> Answer<Option<Vec<(Strategy, u64)>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cqrs");
    if !root.is_dir() {
        return Ok(None);
    }
    let mut lines = BTreeMap::new();
    count(&root, &mut lines)?;
    let own = |strategy: &Strategy| {
        let sum = names(*strategy).iter().map(|name| lines.get(*name).copied().unwrap_or(0)).sum();
        (*strategy, sum)
    };
    Ok(Some(Strategy::ALL.iter().map(own).collect()))
}

/// The marks that count for a strategy: one behind a near cache needs both.
fn names(strategy: Strategy) -> Vec<&'static str> {
    match strategy {
        Strategy::OutboxNearTimer | Strategy::OutboxNearEvents => vec!["outbox", strategy.name()],
        Strategy::CenoteCycle(_) => vec!["cenote-cycle"],
        Strategy::CenoteUpdate(_) => vec!["cenote-update"],
        _ => vec![strategy.name()],
    }
}

fn count(folder: &Path, lines: &mut BTreeMap<String, u64>) -> Answer<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count(&path, lines)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            count_file(&fs::read_to_string(&path)?, lines).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn count_file(text: &str, lines: &mut BTreeMap<String, u64>) -> Answer<()> {
    let mut open: Option<Vec<&str>> = None;
    for line in text.lines().map(str::trim) {
        if let Some(names) = line.strip_prefix("// glue: ") {
            if open.is_some() {
                return Err(format!("{line:?} begins before the last glue has ended").into());
            }
            open = Some(names.split(", ").collect());
        } else if line == "// glue end" {
            open.take().ok_or("glue ends that has not begun")?;
        } else if !line.is_empty() && !line.starts_with("//") {
            for name in open.iter().flatten() {
                *lines.entry((*name).to_owned()).or_default() += 1;
            }
        }
    }
    if open.is_some() { Err("the last glue never ends".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_counted() {
        let text = "one\n// glue: a, b\nx\n\n// why\ny\n// glue end\n// glue: b\nz\n// glue end\n";
        let mut lines = BTreeMap::new();
        count_file(text, &mut lines).unwrap();
        assert_eq!(lines, [("a".to_owned(), 2), ("b".to_owned(), 3)].into());
        assert!(count_file("// glue: a\n", &mut lines).is_err());
    }

    #[test]
    fn every_strategy_has_glue() {
        for (strategy, lines) in glue().unwrap().expect("tests run where the sources are") {
            assert!(lines > 50, "{}: {lines}", strategy.name());
        }
    }
}
