//! A dry run: a version is made and validated as the producer makes one, and never put.
//!
//! Rule: nothing is written, not even the entry by which a producer takes the dataset. So a dry run needs no permission to
//! write, and neither waits for a producer nor fences one.

use cenote_state::ids::Version;
use cenote_state::schema::{Schema, SchemaChange};
use cenote_state::view::View;
use cenote_store::log::LogReader;

use crate::BoxError;
use crate::base::CycleBase;
use crate::cycle::populate::Input;
use crate::cycle::validate::Validated;
use crate::cycle::verify::Verified;
use crate::error::{CycleCause, CycleError};
use crate::ground::{Ground, Tags};
use crate::load::Loaded;
use crate::metrics::Metrics;
use crate::producer::{Settings, Types};
use crate::report::CommitReport;
use crate::update::Update;
use crate::writer::Writer;

/// Makes versions that are never written: [`ProducerBuilder::dry_run`](crate::ProducerBuilder::dry_run) opens one.
///
/// # Example
/// ```
/// # use cenote_producer::{Producer, Record};
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// let dry = Producer::builder("memory://dry-run").with::<Movie>().dry_run().await?;
/// let preview = dry.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
/// assert_eq!(preview.report.map(|report| report.to_string()), Some("new schema; Movie: 1 added, 0 changed, 0 removed".into()));
/// assert_eq!(preview.newer.diff::<Movie>(&preview.older).added.len(), 1);
/// assert!(dry.view().len::<Movie>() == 0 && dry.schema().find("Movie").is_some());
/// let nothing = dry.update(|changes| Ok(changes.delete::<Movie>(1)?)).await?;
/// assert!(nothing.newer.diff::<Movie>(&nothing.older).is_empty());
/// assert!(dry.republish(cenote_producer::Version(7)).await.is_err(), "there is no version 7");
/// # Ok(())
/// # }
/// ```
pub struct DryRun {
    pub(crate) reader: LogReader,
    pub(crate) committed: Loaded,
    pub(crate) base: CycleBase,
    pub(crate) types: Types,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) schema_changes: Vec<SchemaChange>,
}

/// A version that passed every check and was not written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Preview {
    /// What it would change; `None` if nothing differs from the newest version.
    pub report: Option<CommitReport>,
    /// How the schema would change.
    pub schema_changes: Vec<SchemaChange>,
    /// The newest version, under the schema that the next one would have.
    pub older: View,
    /// The version that was made.
    pub newer: View,
}

impl DryRun {
    /// As [`Producer::cycle`](crate::Producer::cycle), without writing.
    ///
    /// [Example](DryRun#example)
    ///
    /// # Errors
    /// As for `cycle`; no outcome is unknown.
    pub async fn cycle<F>(&self, fill: F) -> Result<Preview, CycleError>
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), BoxError>,
    {
        let ground = self.ground();
        let (input, tags) = ground.filled(fill).await?;
        Ok(self.preview(&ground, (input, tags), None).await?)
    }

    /// As [`Producer::update`](crate::Producer::update), without writing; what the closure returns is dropped.
    ///
    /// [Example](DryRun#example)
    ///
    /// # Errors
    /// As for `update`; no outcome is unknown.
    pub async fn update<R>(
        &self,
        change: impl FnOnce(&mut Update) -> Result<R, BoxError>,
    ) -> Result<Preview, CycleError> {
        let ground = self.ground();
        let (input, tags, _) = ground.changed(change)?;
        Ok(self.preview(&ground, (input, tags), None).await?)
    }

    /// As [`Producer::republish`](crate::Producer::republish), without writing.
    ///
    /// [Example](DryRun#example)
    ///
    /// # Errors
    /// As for `republish`; no outcome is unknown.
    pub async fn republish(&self, version: Version) -> Result<Preview, CycleError> {
        let ground = self.ground();
        let input = ground.republished(&self.reader, version).await?;
        Ok(self.preview(&ground, (input, Tags::new()), Some(version)).await?)
    }

    /// The newest version, for the types that were declared.
    ///
    /// [Example](DryRun#example)
    #[must_use]
    pub fn view(&self) -> View {
        self.ground().view()
    }

    /// The schema that the next version would have.
    ///
    /// [Example](DryRun#example)
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.base.state.schema()
    }

    fn ground(&self) -> Ground<'_> {
        let log_state = self.reader.log_state();
        Ground {
            committed: &self.committed,
            base: &self.base,
            types: &self.types,
            settings: &self.settings,
            metrics: &self.metrics,
            dataset: log_state.dataset,
            next: Version(log_state.position.next().0),
        }
    }

    async fn preview(
        &self,
        ground: &Ground<'_>,
        (input, tags): (Input, Tags),
        republishes: Option<Version>,
    ) -> Result<Preview, CycleCause> {
        let older = ground.view();
        let schema_changes = self.schema_changes.clone();
        let Some(Validated(verified)) = ground.validated(input, republishes).await? else {
            return Ok(Preview { report: None, schema_changes, newer: older.clone(), older });
        };
        let Verified { after, bytes, updates, .. } = verified;
        let schema_changed = after.schema() != self.committed.state.schema();
        let delta_bytes = bytes.map_or(0, |bytes| bytes.len() as u64);
        let report = CommitReport::of(&after, &updates, delta_bytes, schema_changed, (ground.dataset, tags));
        let newer = View::new(after, self.types.binding.clone(), self.settings.env.now());
        Ok(Preview { report: Some(report), schema_changes, older, newer })
    }
}

impl std::fmt::Debug for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryRun").field("version", &self.committed.state.version()).finish_non_exhaustive()
    }
}
