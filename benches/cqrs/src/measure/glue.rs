//! Glue: lines that a team writes itself to have this read side, libraries and servers excluded.
//!
//! They stand between marks in the sources of the baseline and of the engine's side alike: `// glue: outbox, cdc` begins
//! what these strategies need, `// glue end` ends it. Files that are about one part count where that part was chosen: what
//! talks to Kafka is nobody's who runs RabbitMQ. The embedded broker is in the place of a server, and is nobody's.
//!
//! Blank lines and comments don't count, nor do lines about `points`, at which a script can hurt a process, nor does what
//! all share: the domain, commands, metrics, faults. Nor does what only this program needs: sizes on disk, damage on
//! purpose, clearing up at a server behind a run.

use std::fs;
use std::path::Path;

use crate::Answer;
use crate::strategy::{BrokerKind, StoreKind, Strategy, WriteKind};

/// The parts that were chosen.
pub type Chosen = (WriteKind, BrokerKind, StoreKind);

/// Lines by strategy, in the order of [`Strategy::ALL`]; `None` where the sources are not there.
pub fn glue(chosen: Chosen) -> Answer<Option<Vec<(Strategy, u64)>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if !root.is_dir() {
        return Ok(None);
    }
    let mut marked = Vec::new();
    collect(&root, &root, &mut marked)?;
    let own = |strategy: Strategy| {
        let names = names(strategy);
        let own = marked.iter().filter(|line| line.names.iter().any(|name| names.contains(&name.as_str())));
        (strategy, own.filter(|line| counts(&line.file, strategy, chosen)).count() as u64)
    };
    Ok(Some(Strategy::ALL.into_iter().map(own).collect()))
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

/// Whether a file is about a part that this strategy has.
fn counts(file: &str, strategy: Strategy, (write, broker, store): Chosen) -> bool {
    let in_write_side = matches!(strategy, Strategy::Sync | Strategy::Hybrid);
    let store = match write {
        WriteKind::Sqlite if in_write_side => StoreKind::Sqlite,
        WriteKind::Postgres if in_write_side => StoreKind::Postgres,
        _ => store,
    };
    match file {
        "write/sqlite.rs" | "write/feeds.rs" => write == WriteKind::Sqlite,
        // Events are the same in any database; the tables are not.
        "write/rows.rs" => write == WriteKind::Sqlite || strategy == Strategy::EventSourced,
        "postgres.rs" => write == WriteKind::Postgres,
        "read/sqlite.rs" => store == StoreKind::Sqlite,
        "read/postgres.rs" => store == StoreKind::Postgres,
        "read/cassandra.rs" => store == StoreKind::Cassandra,
        "read/redis.rs" => store == StoreKind::Redis,
        "broker/rabbitmq.rs" => broker == BrokerKind::Rabbitmq,
        "broker/kafka.rs" => broker == BrokerKind::Kafka,
        "broker/nats.rs" => broker == BrokerKind::Nats,
        _ if file.starts_with("write/postgres/") => write == WriteKind::Postgres,
        _ => true,
    }
}

/// A line of glue.
struct Line {
    file: String,
    names: Vec<String>,
}

fn collect(root: &Path, folder: &Path, lines: &mut Vec<Line>) -> Answer<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, lines)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(root)?.display().to_string();
            let text = fs::read_to_string(&path)?;
            collect_file(&file, &text, lines).map_err(|error| format!("{file}: {error}"))?;
        }
    }
    Ok(())
}

fn collect_file(file: &str, text: &str, lines: &mut Vec<Line>) -> Answer<()> {
    let mut open: Option<Vec<String>> = None;
    for line in text.lines().map(str::trim) {
        if let Some(names) = line.strip_prefix("// glue: ") {
            if open.is_some() {
                return Err(format!("{line:?} begins before the last glue has ended").into());
            }
            open = Some(names.split(", ").map(str::to_owned).collect());
        } else if line == "// glue end" {
            open.take().ok_or("glue ends that has not begun")?;
        } else if !line.is_empty()
            && !line.starts_with("//")
            && !line.to_lowercase().contains("points")
            && let Some(names) = &open
        {
            lines.push(Line { file: file.to_owned(), names: names.clone() });
        }
    }
    if open.is_some() { Err("the last glue never ends".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMBEDDED: Chosen = (WriteKind::Sqlite, BrokerKind::Embedded, StoreKind::Sqlite);

    #[test]
    fn marks_are_counted() {
        let text = "one\n// glue: a, b\nx\n\n// why\nself.points.reach()\ny\n// glue end\n// glue: b\nz\n// glue end\n";
        let mut lines = Vec::new();
        collect_file("f", text, &mut lines).unwrap();
        let of = |name: &str| lines.iter().filter(|line| line.names.iter().any(|own| own == name)).count();
        assert_eq!((of("a"), of("b")), (2, 3));
        assert!(collect_file("f", "// glue: a\n", &mut lines).is_err());
    }

    #[test]
    fn every_strategy_has_glue_on_any_parts() {
        let real = (WriteKind::Postgres, BrokerKind::Rabbitmq, StoreKind::Redis);
        let (embedded, real) = (glue(EMBEDDED).unwrap().unwrap(), glue(real).unwrap().unwrap());
        for ((strategy, lines), (_, at_servers)) in embedded.into_iter().zip(real) {
            assert!(lines > 50 && at_servers > 50, "{}: {lines}, {at_servers}", strategy.name());
            assert!(!strategy.has_broker() || at_servers > lines + 100, "{}: {at_servers}", strategy.name());
        }
    }
}
