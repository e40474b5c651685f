//! The model: what each commit should hold, which answer its caller got, and whether the log agrees.
//!
//! Every attempt to publish has a mark, a tag of its commit. When the audit reads the entry, the model finds by the mark
//! what the version must contain. The answer that the caller gets is compared with the log (I6).

use std::collections::BTreeMap;
use std::rc::Rc;

use cenote_store::log::Commit;

use super::record::Content;

/// The tag of a commit that holds its mark.
pub(crate) const MARK: &str = "mark";

/// The answer that the caller of an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    /// None yet, or that the outcome is unknown.
    Nothing,
    /// That it was committed.
    Committed,
    /// That it was not committed and never will be.
    NotWritten,
}

#[derive(Clone, Debug)]
struct Attempt {
    parent: u64,
    content: Content,
    reported: Reported,
    committed_at: Option<u64>,
    /// Whether its caller got the answer that the outcome is unknown.
    unknown: bool,
}

/// All attempts and versions.
#[derive(Clone, Default)]
pub(crate) struct Model {
    attempts: Vec<Attempt>,
    /// The attempt to republish of each epoch: a producer has one at a time.
    republishing: BTreeMap<u64, usize>,
    versions: BTreeMap<u64, Content>,
}

impl Model {
    /// Records an attempt on top of `parent`; returns its mark.
    pub(crate) fn attempt(&mut self, parent: u64, content: Content) -> usize {
        self.attempts.push(Attempt {
            parent,
            content,
            reported: Reported::Nothing,
            committed_at: None,
            unknown: false,
        });
        self.attempts.len() - 1
    }

    /// Records that the commit of an attempt will have no mark, so that its epoch identifies it.
    pub(crate) fn republishes(&mut self, epoch: u64, mark: usize) {
        self.republishing.insert(epoch, mark);
    }

    /// Checks a commit that the log has at `version`.
    pub(crate) fn entry_found(&mut self, version: u64, epoch: u64, commit: &Commit) -> Result<(), String> {
        let by_tag = commit.tags.get(MARK).and_then(|mark| mark.parse().ok());
        let mark = by_tag.or_else(|| commit.republishes.and_then(|_| self.republishing.get(&epoch).copied()));
        let Some((mark, attempt)) = mark.and_then(|mark| Some((mark, self.attempts.get_mut(mark)?))) else {
            return Err(format!("no producer published version {version}"));
        };
        if attempt.reported == Reported::NotWritten {
            return Err(format!("attempt {mark} was reported as not written, but is in the log at {version} (I6)"));
        }
        if let Some(before) = attempt.committed_at {
            return Err(format!("attempt {mark} is in the log at {before} and at {version}"));
        }
        if attempt.parent != commit.parent.0 {
            return Err(format!("attempt {mark} was built on {}, but follows {}", attempt.parent, commit.parent));
        }
        attempt.committed_at = Some(version);
        self.versions.insert(version, attempt.content.clone());
        Ok(())
    }

    /// Checks an answer: the attempt was committed at `version`.
    pub(crate) fn committed(&mut self, mark: usize, version: u64) -> Result<(), String> {
        let attempt = &mut self.attempts[mark];
        attempt.reported = Reported::Committed;
        if attempt.committed_at == Some(version) {
            return Ok(());
        }
        Err(format!(
            "attempt {mark} was acknowledged as {version}, but is in the log at {:?} (I7)",
            attempt.committed_at
        ))
    }

    /// Checks an answer: the attempt was not written and never will be.
    pub(crate) fn not_written(&mut self, mark: usize) -> Result<(), String> {
        let attempt = &mut self.attempts[mark];
        attempt.reported = Reported::NotWritten;
        match attempt.committed_at {
            None => Ok(()),
            Some(version) => {
                Err(format!("attempt {mark} was reported as not written, but is in the log at {version} (I6)"))
            }
        }
    }

    /// Records an answer: the outcome of the attempt is unknown.
    pub(crate) fn unknown(&mut self, mark: usize) {
        self.attempts[mark].unknown = true;
    }

    /// The number of attempts of unknown outcome that are in the log, and of those that are not. The outcome is unknown, too,
    /// if the caller was killed before it got an answer. Valid only when no put is under way.
    pub(crate) fn unknown_outcomes(&self) -> (u64, u64) {
        let unknown = self.attempts.iter().filter(|attempt| attempt.unknown || attempt.reported == Reported::Nothing);
        let (landed, never): (Vec<_>, Vec<_>) = unknown.partition(|attempt| attempt.committed_at.is_some());
        (landed.len() as u64, never.len() as u64)
    }

    /// The content of a version; empty before the first.
    pub(crate) fn content(&self, version: u64) -> Option<Content> {
        if version == 0 {
            return Some(Rc::default());
        }
        self.versions.get(&version).cloned()
    }

    /// The newest version; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.versions.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// The versions from the start of the log on.
    pub(crate) fn since(&self, log_start: u64) -> Vec<u64> {
        self.versions.range(log_start..).map(|(version, _)| *version).collect()
    }
}
