//! The book: what each commit should hold, what its caller was told, and whether the log agrees.
//!
//! Every attempt to publish carries a mark. The audit finds the mark where the entry stands, and from then on the book
//! knows what that version must look like to everybody. What a caller is told is held against it (I6).

use std::collections::BTreeMap;
use std::rc::Rc;

use cenote_store::log::Commit;

use super::record::Content;

/// The tag of a commit that carries its mark.
pub(crate) const MARK: &str = "mark";

/// What the caller of an attempt knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing yet, or that nobody knows.
    Nothing,
    /// That it stands.
    Committed,
    /// That it does not stand, and never will.
    NotWritten,
}

#[derive(Debug)]
struct Attempt {
    parent: u64,
    content: Content,
    told: Told,
    stands: Option<u64>,
    /// Whether its caller was told once that nobody knows.
    doubtful: bool,
}

/// All attempts and versions.
#[derive(Default)]
pub(crate) struct Book {
    attempts: Vec<Attempt>,
    /// By epoch: which attempt republishes. A producer does one thing at a time.
    republishing: BTreeMap<u64, usize>,
    versions: BTreeMap<u64, Content>,
}

impl Book {
    /// Notes an attempt on top of `parent`; gives its mark.
    pub(crate) fn attempt(&mut self, parent: u64, content: Content) -> usize {
        self.attempts.push(Attempt { parent, content, told: Told::Nothing, stands: None, doubtful: false });
        self.attempts.len() - 1
    }

    /// The attempt will stand without its mark: by the epoch it is found again.
    pub(crate) fn republishes(&mut self, epoch: u64, mark: usize) {
        self.republishing.insert(epoch, mark);
    }

    /// A commit stands at `version`.
    pub(crate) fn stands(&mut self, version: u64, epoch: u64, commit: &Commit) -> Result<(), String> {
        let by_tag = commit.tags.get(MARK).and_then(|mark| mark.parse().ok());
        let mark = by_tag.or_else(|| commit.republishes.and_then(|_| self.republishing.get(&epoch).copied()));
        let Some((mark, attempt)) = mark.and_then(|mark| Some((mark, self.attempts.get_mut(mark)?))) else {
            return Err(format!("nobody published version {version}"));
        };
        if attempt.told == Told::NotWritten {
            return Err(format!("attempt {mark} was told not to be written, and stands at {version} (I6)"));
        }
        if let Some(before) = attempt.stands {
            return Err(format!("attempt {mark} stands at {before} and at {version}"));
        }
        if attempt.parent != commit.parent.0 {
            return Err(format!("attempt {mark} was built on {}, and follows {}", attempt.parent, commit.parent));
        }
        attempt.stands = Some(version);
        self.versions.insert(version, attempt.content.clone());
        Ok(())
    }

    /// A caller was told that its attempt stands at `version`.
    pub(crate) fn committed(&mut self, mark: usize, version: u64) -> Result<(), String> {
        let attempt = &mut self.attempts[mark];
        attempt.told = Told::Committed;
        if attempt.stands == Some(version) {
            return Ok(());
        }
        Err(format!("attempt {mark} was acknowledged as {version}, and stands at {:?} (I7)", attempt.stands))
    }

    /// A caller was told that its attempt is not written and never will be.
    pub(crate) fn not_written(&mut self, mark: usize) -> Result<(), String> {
        let attempt = &mut self.attempts[mark];
        attempt.told = Told::NotWritten;
        match attempt.stands {
            None => Ok(()),
            Some(version) => Err(format!("attempt {mark} was told not to be written, and stands at {version} (I6)")),
        }
    }

    /// Nobody knows what became of the attempt.
    pub(crate) fn doubtful(&mut self, mark: usize) {
        self.attempts[mark].doubtful = true;
    }

    /// How many doubtful attempts stand, and how many don't: to be asked once nothing can land any more. Whose caller
    /// died before it was told anything is doubtful, too.
    pub(crate) fn doubts(&self) -> (u64, u64) {
        let doubtful = self.attempts.iter().filter(|attempt| attempt.doubtful || attempt.told == Told::Nothing);
        let (landed, never): (Vec<_>, Vec<_>) = doubtful.partition(|attempt| attempt.stands.is_some());
        (landed.len() as u64, never.len() as u64)
    }

    /// What a version holds; nothing before the first.
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

    /// The versions from `log_start` on.
    pub(crate) fn since(&self, log_start: u64) -> Vec<u64> {
        self.versions.range(log_start..).map(|(version, _)| *version).collect()
    }
}
