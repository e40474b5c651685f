//! The list of versions that one child leaves in the folder for the other.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::peers::Published;

/// All versions of a turn, in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chain {
    /// The version with no changes.
    pub first: Published,
    /// Those of the change sets that are timed.
    pub steps: Vec<Step>,
    /// Those after, to refresh to while look-ups are timed.
    pub spare: Vec<Step>,
}

/// One version after the first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Step {
    /// How many movies differ.
    pub changes: u64,
    /// The number of the change set of this size.
    pub repetition: u64,
    /// What came of it.
    pub published: Published,
}

const NAME: &str = "chain.json";

impl Chain {
    /// A chain of one version.
    #[must_use]
    pub fn new(first: Published) -> Self {
        Self { first, steps: Vec::new(), spare: Vec::new() }
    }

    /// Leaves it in the folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(NAME), serde_json::to_vec(self)?)
    }

    /// Finds it in the folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(NAME))?)?)
    }
}
