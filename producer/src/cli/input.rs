//! The file or the pipe that `run` reads.
//!
//! It is opened before the log, so that a typo in its name disturbs no producer, and read as often as needed through the same
//! handle. What can be read once only (a pipe, a terminal) is kept in a temporary file first. So what is published is what
//! the schema was derived from; a file that changes in between is refused.

use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::path::Path;
use std::time::SystemTime;

use crate::json::{JsonError, Lines};

/// What `run` reads.
pub(super) struct Input {
    name: String,
    file: File,
    bytes: u64,
    /// Of a file that others can write: when it was written last.
    written: Option<SystemTime>,
}

impl Input {
    /// Opens the file; `-` is the standard input.
    pub(super) fn open(path: &Path) -> Result<Input, JsonError> {
        if path == Path::new("-") {
            return Input::spooled("standard input".to_owned(), io::stdin().lock());
        }
        let name = path.display().to_string();
        let failed = |error| JsonError::io(&name, error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Input::spooled(name, file);
        }
        Ok(Input { name, file, bytes: metadata.len(), written: written(&metadata) })
    }

    fn spooled(name: String, mut source: impl io::Read) -> Result<Input, JsonError> {
        let spooled = tempfile::tempfile().and_then(|mut file| Ok((io::copy(&mut source, &mut file)?, file)));
        match spooled {
            Ok((bytes, file)) => Ok(Input { name, file, bytes, written: None }),
            Err(error) => Err(JsonError::io(&name, error)),
        }
    }

    /// Its lines, from the first.
    pub(super) fn lines(&self) -> Result<Lines<&File>, JsonError> {
        let mut file = &self.file;
        file.rewind().map_err(|error| JsonError::io(&self.name, error))?;
        Ok(Lines::new(&self.name, file))
    }

    /// That it was not written to since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), JsonError> {
        let Some(_) = self.written else { return Ok(()) };
        let metadata = self.file.metadata().map_err(|error| JsonError::io(&self.name, error))?;
        if metadata.len() == self.bytes && written(&metadata) == self.written {
            return Ok(());
        }
        Err(JsonError::changed(&self.name))
    }

    /// The name that messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn written(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}
