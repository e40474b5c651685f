//! The lines of a file, one at a time, each checked for length and UTF-8.

use std::io::{BufRead, BufReader, Read};

use super::error::{Fault, JsonError, Problem};

/// A line may have this many bytes: room for the largest record, escaped, and its components.
pub(super) const LINE_BYTES_MAX: usize = 128 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// Reads a file line by line, in the memory of the longest line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    file: String,
    source: BufReader<R>,
    buffer: Vec<u8>,
    line: u64,
    bytes: u64,
}

impl<R: Read> Lines<R> {
    /// Of anything that can be read; `name` is what errors call it.
    pub(crate) fn new(name: impl Into<String>, source: R) -> Lines<R> {
        let source = BufReader::with_capacity(BUFFER_BYTES, source);
        Lines { file: name.into(), source, buffer: Vec::new(), line: 0, bytes: 0 }
    }

    /// The next line that isn't blank, with its number.
    ///
    /// Not an iterator: the line is lent, so that no line is copied.
    ///
    /// # Errors
    /// If reading fails, or the line is too long or not UTF-8.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &str)>, JsonError> {
        loop {
            self.buffer.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|error| self.error(Problem::Io(error)))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.bytes += read as u64;
            if read > LINE_BYTES_MAX {
                return Err(self.error(Problem::LineTooLong));
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        // Some programs begin a file with a byte order mark.
        let start = if self.line == 1 && self.buffer.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
        match std::str::from_utf8(&self.buffer[start..]) {
            Ok(line) => Ok(Some((self.line, line.trim_end_matches(['\n', '\r'])))),
            Err(error) => Err(self.error(Problem::NotUtf8 { byte: start + error.valid_up_to() + 1 })),
        }
    }

    /// The name that errors call it.
    #[must_use]
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Bytes read so far.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn error(&self, problem: Problem) -> JsonError {
        Fault::from(problem).on(&self.file, self.line)
    }
}
