//! The list of versions that the publishing process of a turn leaves in the folder for the reading one.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::peers::Published;

/// All versions of a turn, in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chain {
    /// The version without changes.
    pub first: Published,
    /// The versions whose refresh is timed.
    pub steps: Vec<Step>,
    /// The versions after those, to refresh to while look-ups are timed.
    pub spare: Vec<Step>,
}

/// A version after the first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Step {
    /// The number of movies that differ from the version before.
    pub changes: u64,
    /// The number of the change set among those of this size.
    pub repetition: u64,
    /// The published version.
    pub published: Published,
}

const FILE: &str = "chain.json";

impl Chain {
    /// A chain of one version.
    #[must_use]
    pub fn new(first: Published) -> Self {
        Self { first, steps: Vec::new(), spare: Vec::new() }
    }

    /// Writes the chain to the folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(FILE), serde_json::to_vec(self)?)
    }

    /// Reads the chain from the folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(FILE))?)?)
    }
}
