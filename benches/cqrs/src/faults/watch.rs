//! The watch: measures how stale or wrong each entity is for a reader, repeatedly while a script runs.
//!
//! It keeps the states that an entity has had on the write side, with the time at which each was first seen. A reader that
//! shows an old state is as stale as the next state is old. A reader that shows a version with another content is wrong,
//! from the time at which that was first seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::Answer;
use crate::clock::{self, now};
use crate::domain::{Collected, Key, Query, World};
use crate::metrics::{Alarm, Reading};
use crate::strategy::Running;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);
/// States that are kept per entity.
const STATES: usize = 64;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The longest time that an entity was stale.
    pub(super) stale: Duration,
    /// The longest time that an entity was shown in a state that it never had.
    pub(super) wrong: Duration,
    /// The longest time that a query was not answered.
    pub(super) unanswered: Duration,
    /// The alarms that rang.
    pub(super) alarms: Vec<Alarm>,
}

/// The judgement of an answer.
enum Judged {
    Right,
    /// For so long.
    Stale(Duration),
    /// For so long.
    Wrong(Duration),
}

#[derive(Default)]
struct History {
    /// The states of an entity, oldest first.
    states: HashMap<Key, Vec<(Collected, Instant)>>,
    /// Since when a reader has shown a state that never was.
    wrong_since: HashMap<Key, Instant>,
    /// Since when a reader has not answered.
    silent_since: HashMap<Key, Instant>,
}

impl History {
    fn add(&mut self, key: Key, state: Collected, at: Instant) {
        let states = self.states.entry(key).or_default();
        if states.last().is_none_or(|(last, _)| *last != state) {
            states.push((state, at));
            if states.len() > STATES {
                states.remove(0);
            }
        }
    }

    fn judge(&mut self, key: Key, found: &Collected, at: Instant) -> Judged {
        let states = self.states.entry(key).or_default();
        let after = |place: usize| states.get(place).map(|(_, since)| at.saturating_duration_since(*since));
        let version = found.version();
        if let Some(place) = states.iter().rposition(|(state, _)| state == found) {
            self.wrong_since.remove(&key);
            return after(place + 1).map_or(Judged::Right, Judged::Stale);
        }
        if version > 0 && states.iter().any(|(state, _)| state.version() == version) {
            let since = *self.wrong_since.entry(key).or_insert(at);
            return Judged::Wrong(at.saturating_duration_since(since));
        }
        // A state between two looks, or after the last.
        self.wrong_since.remove(&key);
        let newer = states.iter().position(|(state, _)| state.version() > version);
        newer.and_then(after).map_or(Judged::Right, Judged::Stale)
    }
}

/// Looks until `stop` is set.
pub(super) async fn watch(
    running: Arc<dyn Running>,
    world: World,
    before: Reading,
    staleness_max: Duration,
    stop: Arc<AtomicBool>,
) -> Seen {
    let (mut history, mut seen) = (History::default(), Seen::default());
    let staleness_ms = staleness_max.as_millis() as u64 + running.interval().as_millis() as u64 * 2;
    while !stop.load(Relaxed) {
        // If the write side is away, that is part of the fault; the next look tries again.
        let _ = look(&*running, &world, &mut history, &mut seen).await;
        if let Ok(reading) = running.reading().await {
            seen.alarms.extend(reading.alarms(&before, staleness_ms));
            seen.alarms.sort_unstable();
            seen.alarms.dedup();
        }
        clock::sleep(PAUSE).await;
    }
    seen
}

async fn look(running: &dyn Running, world: &World, history: &mut History, seen: &mut Seen) -> Answer<()> {
    let (truth, at) = (running.truth().await?, now());
    let keys: Vec<Key> = truth
        .questions(&world.reference, world.page_ids())
        .filter_map(|query| match query {
            Query::Product(id) => Some(Key::Product(id)),
            Query::Page(id) => Some(Key::Page(id)),
            Query::Category(_) => None,
        })
        .collect();
    for &key in &keys {
        history.add(key, own(truth.answer(Query::of(key), &world.reference)), at);
    }
    let queries = running.queries();
    for &key in &keys {
        let Ok(found) = queries.collect(Query::of(key)).await else {
            let since = *history.silent_since.entry(key).or_insert_with(now);
            seen.unanswered = seen.unanswered.max(now().saturating_duration_since(since));
            continue;
        };
        if let Some(since) = history.silent_since.remove(&key) {
            seen.unanswered = seen.unanswered.max(now().saturating_duration_since(since));
        }
        let found = own(found);
        match history.judge(key, &found, now()) {
            Judged::Right => {}
            Judged::Stale(time) => seen.stale = seen.stale.max(time),
            Judged::Wrong(time) => seen.wrong = seen.wrong.max(time),
        }
    }
    Ok(())
}

/// The answer without what has other versions: the products of a page.
fn own(mut answer: Collected) -> Collected {
    if answer.page.is_some() {
        answer.products.clear();
    }
    answer
}
