//! What came of a call, for the caller and for logs.

use std::fmt;
use std::time::Duration;

use cenote_state::ids::{Token, Version};

use crate::cycle::commit::Next;

/// What came of a cycle.
#[derive(Clone, Debug)]
pub enum Cycled {
    /// A new version stands in the log.
    Committed(Report),
    /// Nothing differs from the newest version, so nothing was written.
    Unchanged(Version),
}

/// What came of an update: what the closure returned, and the version.
#[derive(Clone, Debug)]
pub struct Updated<R> {
    /// What the closure returned.
    pub value: R,
    /// What came of it.
    pub cycled: Cycled,
}

/// A new version.
#[derive(Clone, Debug)]
pub struct Report {
    /// The version.
    pub version: Version,
    /// What changed, by type; types without changes are left out.
    pub types: Vec<TypeReport>,
    /// The delta's size on storage.
    pub delta_bytes: u64,
    /// Whether the schema changed with it.
    pub schema_changed: bool,
    /// From the call to the commit, reading the source included.
    pub took: Duration,
}

/// What a version changed in one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeReport {
    /// The type's name.
    pub name: String,
    /// Whether it is a root, and no component.
    pub is_root: bool,
    /// Records that came.
    pub added: u64,
    /// Records that went.
    pub removed: u64,
    /// Records with new values.
    pub changed: u64,
}

/// What became of an earlier call that was dropped, or that ended in `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// There is nothing that is not known.
    Nothing,
    /// Its version stands in the log.
    Committed(Version),
    /// It does not stand in the log and never will.
    NotCommitted,
}

impl Cycled {
    /// The newest version: the new one, or the one that is as it should be.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Cycled::Committed(report) => report.version,
            Cycled::Unchanged(version) => *version,
        }
    }

    /// A read `at_least` this token sees what was published.
    #[must_use]
    pub fn token(&self) -> Token {
        self.version().into()
    }

    /// The report, if there is a new version.
    #[must_use]
    pub fn committed(&self) -> Option<&Report> {
        match self {
            Cycled::Committed(report) => Some(report),
            Cycled::Unchanged(_) => None,
        }
    }
}

impl<R> Updated<R> {
    /// The newest version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.cycled.version()
    }

    /// A read `at_least` this token sees the update.
    #[must_use]
    pub fn token(&self) -> Token {
        self.cycled.token()
    }
}

impl Report {
    /// Of an entry that is about to be put.
    pub(crate) fn of(next: &Next) -> Report {
        let types = next.follow.types.iter().map(|of_type| {
            let schema = next.state.schema().get(of_type.type_id);
            TypeReport {
                name: schema.name.clone(),
                is_root: schema.is_root(),
                added: of_type.added.len() as u64,
                removed: of_type.removed.len() as u64,
                changed: of_type.changed,
            }
        });
        Report {
            version: next.state.version(),
            types: types.collect(),
            delta_bytes: next.delta_bytes,
            schema_changed: next.schema_changed,
            took: Duration::ZERO,
        }
    }

    /// What changed in the type with this name.
    #[must_use]
    pub fn of_type(&self, name: &str) -> Option<&TypeReport> {
        self.types.iter().find(|of_type| of_type.name == name)
    }
}

impl fmt::Display for Report {
    /// The roots' changes: `Movie: 3 added, 1 changed, 0 removed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        if self.schema_changed {
            parts.push("new schema".to_owned());
        }
        for TypeReport { name, added, removed, changed, .. } in self.types.iter().filter(|of_type| of_type.is_root) {
            parts.push(format!("{name}: {added} added, {changed} changed, {removed} removed"));
        }
        f.write_str(&parts.join("; "))
    }
}
