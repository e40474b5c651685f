//! The consumer from outside: one program, so that it is linked once.

mod chain;
mod ending;
mod faults;
mod following;
mod golden;
mod health;
mod held;
mod metric_labels;
mod requests;
mod trims;
mod views;
mod whole_views;

use std::time::Duration;

use cenote_consumer::{Consumer, ConsumerBuilder, HashIndex, Record, ReloadPolicy};
use cenote_store::env::Env;
use cenote_store::storage::Storage;

/// A record to follow.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Movie {
    id: u64,
    title: String,
    country: String,
    rating: Option<u32>,
    #[record(packed)]
    plot: String,
}

const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");

fn movie(id: u64, title: &str) -> Movie {
    let country = if id.is_multiple_of(2) { "nl" } else { "be" };
    let plot = format!("{title}, and what came of it in {country}");
    Movie { id, title: title.to_owned(), country: country.to_owned(), rating: None, plot }
}

/// A dataset in memory for one test.
async fn memory() -> Storage {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = format!("memory://consumer-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Storage::open(&url, &[]).await.expect("memory opens")
}

/// A consumer of movies that refreshes only when a test calls it.
fn manual(storage: &Storage, env: &Env) -> ConsumerBuilder<Storage> {
    Consumer::builder_on(storage.clone())
        .env(env.clone())
        .with::<Movie>()
        .index(&BY_COUNTRY)
        .reload(ReloadPolicy::Manual)
}

/// Longer than anything takes in virtual time.
const LONG: Duration = Duration::from_secs(30);
