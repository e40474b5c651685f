//! Netflix Hollow: a driver on the JVM that prints the same lines as the processes of other systems.
//!
//! `benches/engine/peers/hollow` has the driver and a `pom.xml` that fetches Hollow and builds both into one folder of jars.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::figures::{Case, Figure, median};
use super::memory::drop_from_page_cache;
use super::{Effort, Sample};

/// One of the two mappings of the record to Hollow's types.
pub struct Hollow {
    mapping: &'static str,
    classpath: String,
}

impl Hollow {
    /// `hollow` has the synopsis inline; `hollow-ref` as a reference, its best for deltas.
    pub const MAPPINGS: [&'static str; 2] = ["hollow", "hollow-ref"];

    /// With a jar, a folder of jars, or a class path in the form of `java -cp`.
    pub fn new(mapping: &'static str, classpath: &str) -> io::Result<Self> {
        let path = PathBuf::from(classpath);
        let classpath = if path.is_dir() {
            let path = path.canonicalize()?;
            format!("{0}:{0}/*", path.display())
        } else {
            classpath.to_owned()
        };
        Ok(Self { mapping, classpath })
    }

    /// The name of the system in rows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.mapping
    }

    /// The JVM for one part of a turn.
    pub(super) fn command(&self, part: &str, records: u64, folder: &Path, effort: Effort) -> Command {
        if part == "consume" {
            // If that fails, the first load is merely less cold.
            let _ = drop_from_page_cache(folder);
        }
        let heap = if records > 1_000_000 { "-Xmx16g" } else { "-Xmx8g" };
        let mut command = Command::new("java");
        command.args([heap, "-XX:+UseG1GC", "-cp", &self.classpath, "HollowPeer", part, self.mapping]);
        command.arg(records.to_string()).arg(folder);
        command.args([effort.repetitions.to_string(), effort.passes.to_string(), effort.seconds.to_string()]);
        command
    }

    /// The sizes of the blobs in the folder, plain (as Hollow stores them) and compressed.
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
            samples.push(Sample::new(Figure::SnapshotBytes, path.metadata()?.len() as f64));
            samples.push(Sample::new(Figure::SnapshotBytesCompressed, compressed));
        }
        for group in deltas.chunk_by(|a, b| a.0 == b.0) {
            let mut sizes: Vec<_> = group.iter().map(|delta| delta.1).collect();
            samples.push(Sample::new(Case::from(Figure::DeltaBytes).changes(group[0].0), median(&mut sizes)));
        }
        Ok(samples)
    }
}

fn compressed_bytes(path: &Path) -> io::Result<u64> {
    let mut count = ByteCount(0);
    zstd::stream::copy_encode(BufReader::new(File::open(path)?), &mut count, 3)?;
    Ok(count.0)
}

struct ByteCount(u64);

impl io::Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
