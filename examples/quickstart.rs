//! Publishes three releases of a real dataset while a reader in the same program reads it all along.
//!
//! `cargo run --release --example quickstart` — the data is browser-compat-data (CC0): what each browser supports of the
//! web. A release is one producer cycle; the consumer follows the folder and swaps to each new version as a whole.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cenote_consumer::env::{Env, Instant};
use cenote_consumer::{Consumer, RefreshReport, View};
use cenote_examples::compat::{self, Browser, Feature};
use cenote_producer::{Cycled, Producer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/quickstart");
    let _ = std::fs::remove_dir_all(&folder); // from an earlier run
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let url = folder.to_str().ok_or("the folder's path is not UTF-8")?;
    println!("three releases of browser-compat-data → {}\n", relative(&folder));

    // The job that publishes a dataset of two root types.
    let mut producer = Producer::builder(url).with::<Feature>().with::<Browser>().open().await?;
    publish(&mut producer, compat::releases()[0]).await?;

    // The service that reads. It watches the folder, and polls in case a notification is lost.
    let consumer = Consumer::builder(url).with::<Feature>().with::<Browser>().open().await?;
    let (sender, mut refreshes) = tokio::sync::mpsc::unbounded_channel();
    consumer.on_refresh(move |report| drop(sender.send(report.clone())));
    let reader = Reader::start(consumer.clone());
    let first = consumer.view();
    println!(
        "release {} = version {}: {} features of {} browsers",
        compat::releases()[0],
        first.version(),
        first.len::<Feature>(),
        first.len::<Browser>()
    );
    let before = reader.rate(Duration::from_millis(500)).await;

    let (mut older, mut during) = (first, Vec::new());
    for release in &compat::releases()[1..] {
        let mark = reader.mark();
        let published = publish(&mut producer, release).await?;
        let view = consumer.view_at_least(published.token(), Duration::from_secs(10)).await?;
        during.push(reader.since(mark));
        let refresh = refreshes.recv().await.ok_or("the consumer has stopped")?;
        print_changes(release, &older, &view, &published, &refresh);
        older = view;
    }
    let after = reader.rate(Duration::from_millis(500)).await;
    let snapshot = producer.snapshot().await?;

    let during = during.iter().sum::<f64>() / during.len() as f64;
    println!("\nsnapshot of version {}: {:.2} MB", older.version(), mega(snapshot.bytes as f64));
    println!(
        "reads on one thread:    {:.1} million/s before, {:.1} while publishing and swapping, {:.1} after",
        mega(before),
        mega(during),
        mega(after)
    );
    println!(
        "memory:                 {:.1} MB for {} records and what they hold\n",
        mega(older.memory_bytes() as f64),
        older.len::<Feature>() + older.len::<Browser>()
    );
    print_feature(&older);
    println!("\ntry next, on the folder that this run left:");
    println!("  cargo run --release -p cenote-consumer -- get {} Feature css.properties.text-wrap", relative(&folder));
    println!("  cargo run --release -p cenote-producer -- log {}", relative(&folder));
    reader.stop();
    consumer.close().await;
    Ok(producer.close().await?)
}

/// One cycle: the whole release. The producer finds what is new in it.
async fn publish(producer: &mut Producer, release: &str) -> Result<Cycled, Box<dyn Error>> {
    let cycled = producer
        .cycle(async |writer| {
            writer.tag("release", release);
            compat::browsers(release).try_for_each(|browser| writer.add(&browser))?;
            compat::features(release).try_for_each(|feature| writer.add(&feature))?;
            Ok(())
        })
        .await?;
    Ok(cycled)
}

/// What a release changed, by comparing its view with the one before.
fn print_changes(release: &str, older: &View, view: &View, published: &Cycled, refresh: &RefreshReport) {
    let diff = view.diff::<Feature>(older);
    let delta = published.committed().map_or(0, |report| report.delta_bytes);
    println!(
        "release {release} = version {}: {} added, {} removed, {} changed; delta {:.1} kB, refreshed in {:.1?}",
        view.version(),
        diff.added.len(),
        diff.removed.len(),
        diff.updated.len(),
        delta as f64 / 1e3,
        refresh.steps.total,
    );
}

/// A record and what it leads to, read in place.
fn print_feature(view: &View) {
    let Some(feature) = view.get::<Feature>("api.Document.customElementRegistry") else { return };
    println!("{}:", feature.path());
    for support in feature.support().iter().take(4) {
        let browser = view.get_key(support.browser()).map_or("?", |browser| browser.name());
        let added = support.statements().iter().next().and_then(cenote_examples::compat::StatementRef::version_added);
        println!("  {browser:<20} {}", added.unwrap_or("no"));
    }
}

/// A thread that reads as fast as it can: batches of 16 look-ups of one view each, as a request would.
struct Reader {
    reads: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    env: Env,
}

impl Reader {
    fn start(consumer: Consumer) -> Reader {
        let (reads, stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stop) = (Arc::clone(&reads), Arc::clone(&stopped));
        let paths: Vec<String> = compat::features(compat::releases()[0]).map(|feature| feature.path).collect();
        std::thread::spawn(move || {
            for batch in paths.chunks(16).cycle().take_while(|_| !stop.load(Relaxed)) {
                let found: usize = consumer.with(|view| {
                    let features = batch.iter().filter_map(|path| view.get::<Feature>(path));
                    features.map(|feature| feature.support().len() + feature.source_file().len()).sum()
                });
                std::hint::black_box(found);
                counter.fetch_add(batch.len() as u64, Relaxed);
            }
        });
        Reader { reads, stopped, env: Env::system() }
    }

    fn mark(&self) -> (Instant, u64) {
        (self.env.instant(), self.reads.load(Relaxed))
    }

    /// Reads a second since the mark.
    fn since(&self, (start, reads): (Instant, u64)) -> f64 {
        (self.reads.load(Relaxed) - reads) as f64 / start.elapsed().as_secs_f64()
    }

    async fn rate(&self, duration: Duration) -> f64 {
        let mark = self.mark();
        self.env.sleep(duration).await;
        self.since(mark)
    }

    fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }
}

/// Bytes as MB, reads as millions.
fn mega(number: f64) -> f64 {
    number / 1e6
}

fn relative(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    folder.strip_prefix(here).unwrap_or(folder).display().to_string()
}
