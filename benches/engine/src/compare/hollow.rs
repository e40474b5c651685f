//! Netflix Hollow: a driver on the JVM that says the same lines as a child of our own.
//!
//! `benches/engine/peers/hollow` has the driver and a `pom.xml` that fetches Hollow and builds both into one folder of jars.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::forget;
use super::rows::median;
use super::{Effort, Sample};

/// One of the two mappings of the record to Hollow's types.
pub struct Hollow {
    mapping: &'static str,
    classpath: String,
}

impl Hollow {
    /// `hollow` has the synopsis inline; `hollow-ref` as a reference, its best for deltas.
    pub const MAPPINGS: [&'static str; 2] = ["hollow", "hollow-ref"];

    /// With a jar, a folder of jars, or a class path as `java -cp` takes it.
    pub fn new(mapping: &'static str, classpath: &str) -> io::Result<Self> {
        let path = PathBuf::from(classpath);
        let classpath = if path.is_dir() {
            let path = path.canonicalize()?;
            format!("{}{}{}/*", path.display(), ":", path.display())
        } else {
            classpath.to_owned()
        };
        Ok(Self { mapping, classpath })
    }

    /// Its name in the rows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.mapping
    }

    /// The JVM for one part of a turn.
    pub(super) fn command(&self, part: &str, records: u64, folder: &Path, effort: Effort) -> Command {
        if part == "consume" {
            // Only a colder start; the driver says what it finds either way.
            let _ = forget(folder);
        }
        let heap = if records > 1_000_000 { "-Xmx16g" } else { "-Xmx8g" };
        let mut command = Command::new("java");
        command.args([heap, "-XX:+UseG1GC", "-cp", &self.classpath, "HollowPeer", part, self.mapping]);
        command.arg(records.to_string()).arg(folder);
        command.args([effort.repetitions.to_string(), effort.passes.to_string(), effort.seconds.to_string()]);
        command
    }

    /// The sizes of the blobs that it left, plain (as it stores them) and compressed.
    pub(super) fn blob_samples(&self, folder: &Path) -> io::Result<Vec<Sample>> {
        let (mut samples, mut deltas) = (Vec::new(), Vec::new());
        for line in fs::read_to_string(folder.join("blobs.tsv"))?.lines() {
            let (changes, name) = line.split_once('\t').ok_or_else(|| io::Error::other("blobs.tsv has no tab"))?;
            let path = folder.join("blobs").join(name);
            let changes: u64 = changes.parse().map_err(io::Error::other)?;
            let compressed = compressed_bytes(&path)? as f64;
            if changes > 0 {
                deltas.push((changes, compressed));
                continue;
            }
            samples.push(Sample::new("snapshot_bytes", "bytes", path.metadata()?.len() as f64));
            samples.push(Sample::new("snapshot_bytes_compressed", "bytes", compressed));
        }
        for group in deltas.chunk_by(|a, b| a.0 == b.0) {
            let mut sizes: Vec<_> = group.iter().map(|delta| delta.1).collect();
            samples.push(Sample::new("delta_bytes", "bytes", median(&mut sizes)).changes(group[0].0));
        }
        Ok(samples)
    }
}

fn compressed_bytes(path: &Path) -> io::Result<u64> {
    let mut count = Count(0);
    zstd::stream::copy_encode(BufReader::new(File::open(path)?), &mut count, 3)?;
    Ok(count.0)
}

struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
