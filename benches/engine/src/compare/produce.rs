//! The publishing process of a turn: what a producer costs, and the versions for the reading process.

use std::path::Path;

use cenote_bench_support::clock::timed;

use super::figures::{Case, Figure, median};
use super::{Chain, Effort, Output, Sample, Step};
use crate::peers::{Answer, Place, Produce, Published, System};
use crate::workload::{Catalog, Movie, change_set_sizes};

/// Publishes with this system to `folder`, and prints what it cost.
pub fn produce(system: &dyn System, records: u64, folder: &Path, effort: Effort, out: &mut Output<'_>) -> Answer<()> {
    let mut source = Source::new(records);
    let place = Place::Folder(folder.to_owned());
    publish_chain(system, &mut *system.produce(place)?, &mut source, folder, effort, out)?;
    if let Some(mut producer) = out.supported(Figure::UpdateCycle, system.produce(Place::Memory))? {
        time_cycles(&mut *producer, &mut source, effort, out)?;
    }
    Ok(())
}

/// The source of truth as records in memory: its cost is in no figure.
struct Source {
    catalog: Catalog,
    movies: Vec<Movie>,
    ratings: Vec<u16>,
}

impl Source {
    fn new(records: u64) -> Self {
        let catalog = Catalog::new(records);
        Self { movies: catalog.movies().collect(), ratings: catalog.rating_integers(), catalog }
    }

    /// Applies a change set; returns the places of the changed movies.
    fn change(&mut self, size: u64, repetition: u64) -> Vec<usize> {
        let changes = self.catalog.changes(size, repetition, &mut self.ratings);
        changes.iter().for_each(|change| change.apply(&mut self.movies[change.id as usize]));
        changes.iter().map(|change| change.id as usize).collect()
    }
}

fn publish_chain(
    system: &dyn System,
    producer: &mut dyn Produce,
    source: &mut Source,
    folder: &Path,
    effort: Effort,
    out: &mut Output<'_>,
) -> Answer<()> {
    let (seconds, first) = timed(|| producer.publish(&source.movies));
    let mut chain = Chain::new(first?);
    out.sample(Sample::new(Figure::PublishFull, seconds))?;
    if let Some(bytes) = chain.first.stored {
        out.sample(Sample::new(Figure::SnapshotBytes, bytes as f64))?;
    }
    if let Some(bytes) = chain.first.compressed {
        out.sample(Sample::new(Figure::SnapshotBytesCompressed, bytes as f64))?;
    }
    let sizes = change_set_sizes(source.catalog.records());
    let mut publish = |size, repetition| -> Answer<Step> {
        let changed = source.change(size, repetition);
        let published = producer.update(&source.movies, &changed)?;
        Ok(Step { changes: size, repetition, published })
    };
    for &size in &sizes {
        for repetition in 0..effort.repetitions_of(size) {
            let Some(step) = out.supported(Figure::ApplyDelta, publish(size, repetition))? else {
                return Ok(chain.write(folder)?);
            };
            chain.steps.push(step);
        }
        print_delta_bytes(&chain, size, out)?;
    }
    let spare_size = *sizes.iter().rfind(|&&size| size <= 1_000).expect("ten movies can always change");
    for repetition in 0..system.spare_versions().min(effort.spare_versions) {
        // Repetitions that no timed change set has.
        chain.spare.push(publish(spare_size, 100 + repetition)?);
    }
    Ok(chain.write(folder)?)
}

fn print_delta_bytes(chain: &Chain, size: u64, out: &mut Output<'_>) -> Answer<()> {
    let bytes = |published: &Published| published.compressed.or(published.stored);
    let steps = chain.steps.iter().filter(|step| step.changes == size);
    let mut sizes: Vec<_> = steps.filter_map(|step| bytes(&step.published)).map(|bytes| bytes as f64).collect();
    if !sizes.is_empty() {
        out.sample(Sample::new(Case::from(Figure::DeltaBytes).changes(size), median(&mut sizes)))?;
    }
    Ok(())
}

/// Times cycles whose versions stay in memory, so that no storage is in their times.
fn time_cycles(producer: &mut dyn Produce, source: &mut Source, effort: Effort, out: &mut Output<'_>) -> Answer<()> {
    producer.publish(&source.movies)?;
    let mut times = Vec::new();
    for _ in 0..effort.repetitions.min(3) {
        let (seconds, done) = timed(|| producer.republish(&source.movies));
        if out.supported(Figure::FullCycleUnchanged, done)?.is_none() {
            break;
        }
        times.push(seconds);
    }
    if !times.is_empty() {
        out.sample(Sample::new(Figure::FullCycleUnchanged, median(&mut times)))?;
    }
    for size in change_set_sizes(source.catalog.records()) {
        let mut times = Vec::new();
        for repetition in 0..effort.repetitions_of(size) {
            let changed = source.change(size, 500 + repetition);
            let (seconds, published) = timed(|| producer.update(&source.movies, &changed));
            if out.supported(Figure::UpdateCycle, published)?.is_none() {
                return Ok(());
            }
            times.push(seconds);
        }
        out.sample(Sample::new(Case::from(Figure::UpdateCycle).changes(size), median(&mut times)))?;
    }
    Ok(())
}
