//! What a version is made on: the newest version, the program's types, and the validators.
//!
//! The producer and a dry run make versions in the same steps; only the producer puts them into the log.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use cenote_state::ids::{DatasetId, Version};
use cenote_state::view::View;
use cenote_store::log::LogReader;

use crate::BoxError;
use crate::base::CycleBase;
use crate::cycle::populate::Input;
use crate::cycle::validate::{Validated, ValidationContext};
use crate::cycle::verify::Verified;
use crate::error::CycleCause;
use crate::load::Loaded;
use crate::metrics::Metrics;
use crate::producer::{Settings, Types};
use crate::republish;
use crate::typed::Typed;
use crate::update::Update;
use crate::writer::Writer;

/// What a version is made on.
pub(crate) struct Ground<'p> {
    /// The newest version, as readers have it.
    pub(crate) committed: &'p Loaded,
    /// The same under the schema of the next version, with its indexes.
    pub(crate) base: &'p CycleBase,
    pub(crate) types: &'p Types,
    pub(crate) settings: &'p Settings,
    pub(crate) metrics: &'p Metrics,
    pub(crate) dataset: DatasetId,
    /// The number that the next version has if its entry is the log's next.
    pub(crate) next: Version,
}

/// The tags of a version.
pub(crate) type Tags = std::collections::BTreeMap<String, String>;

impl Ground<'_> {
    /// The newest version, for the program's types.
    pub(crate) fn view(&self) -> View {
        View::new(self.base.state.clone(), self.types.binding.clone(), self.committed.committed_at)
    }

    fn typed(&self) -> Typed {
        Typed::new(self.view(), self.types.roots.clone())
    }

    /// The input of a cycle.
    pub(crate) async fn filled<F>(&self, fill: F) -> Result<(Input, Tags), CycleCause>
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), BoxError>,
    {
        let mut writer = Writer::new(Input::new(self.base.clone(), &self.types.roots), self.typed());
        let watch = ClosureWatch { metrics: self.metrics };
        let filled = fill(&mut writer).await;
        drop(watch);
        filled.map_err(CycleCause::of_closure)?;
        Ok(writer.into_parts()?)
    }

    /// The input of an update, and what its closure returned.
    pub(crate) fn changed<R>(
        &self,
        change: impl FnOnce(&mut Update) -> Result<R, BoxError>,
    ) -> Result<(Input, Tags, R), CycleCause> {
        let mut update = Update::new(Input::new(self.base.clone(), &[]), self.typed());
        let watch = ClosureWatch { metrics: self.metrics };
        let value = change(&mut update);
        drop(watch);
        let value = value.map_err(CycleCause::of_closure)?;
        let (input, tags) = update.into_parts();
        Ok((input, tags, value))
    }

    /// The records of an old version as input. `reader` is at the log's tail.
    pub(crate) async fn republished(&self, reader: &LogReader, version: Version) -> Result<Input, CycleCause> {
        let failed = |source| CycleCause::Republish { version, source: Box::new(source) };
        let old = self.settings.loader.load(reader, version).await.map_err(failed)?;
        let (base, threads) = (self.base.clone(), self.settings.env.threads());
        let input = self.settings.env.cpu(move || republish::input(base, &old.state, threads)).await;
        input.map_err(CycleCause::from)?
    }

    /// Diff, encode, verify, validate: off the async threads. `None` if nothing differs.
    pub(crate) async fn validated(
        &self,
        input: Input,
        republishes: Option<Version>,
    ) -> Result<Option<Validated>, CycleCause> {
        if let Some(duplicates) = input.duplicate_keys() {
            return Err(duplicates.into());
        }
        let (env, dataset, next) = (&self.settings.env, self.dataset, self.next);
        let threads = env.threads();
        let steps = move || -> Result<Verified, CycleCause> {
            Ok(input.diff()?.encode(dataset, threads).verify(next, threads)?)
        };
        let verified = env.cpu(steps).await??;
        if verified.bytes.is_none() && verified.after.schema() == self.committed.state.schema() {
            return Ok(None);
        }
        let context = ValidationContext {
            binding: self.types.binding.clone(),
            committed_at: self.committed.committed_at,
            now: env.now(),
            republishes: republishes.is_some(),
        };
        let validators = Arc::clone(&self.settings.validators);
        Ok(Some(env.cpu(move || verified.validate(&validators, &context)).await??))
    }
}

/// Notes that the user's closure panicked, when its panic passes by.
struct ClosureWatch<'p> {
    metrics: &'p Metrics,
}

impl Drop for ClosureWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nothing may panic on the way of another panic.
            let noted = panic::catch_unwind(AssertUnwindSafe(|| {
                self.metrics.failed();
                tracing::warn!("the closure that gives the records panicked: nothing was committed");
            }));
            drop(noted);
        }
    }
}
