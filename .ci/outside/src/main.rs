//! A job and a service as users write them, on `cenote-producer` and `cenote-consumer` alone: every type that a signature
//! or an error names is named here by one of the two crates.

use std::error::Error;
use std::time::Duration;

/// The job.
mod job {
    use cenote_producer::dynamic::{KeyRef, Row};
    use cenote_producer::env::Env;
    use cenote_producer::error::{ErrorKind, Lost, OpenError, Panicked, ReadError, RecordError, Refused, SnapshotError, Unknown};
    use cenote_producer::schema::{ColumnId, Field, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
    use cenote_producer::storage::{Storage, StorageError};
    use cenote_producer::{
        Allow, BoxError, CommitReport, CycleError, Cycled, DanglingKeys, FractionChanged, Key, MinimumCount, Producer, ProducerBuilder,
        Record, RecordCountVariance, Retention, Settled, SnapshotPolicy, SnapshotReport, Token, TypeReport, ValidationError, Validator,
        Version, View, Writer,
    };

    #[derive(Record, Clone)]
    #[record(key = "id")]
    pub struct Movie {
        pub id: u64,
        pub title: String,
        pub country: String,
        pub cast: Vec<Actor>,
        pub sequels: Vec<Key<Movie>>,
    }

    #[derive(Record, Clone)]
    pub struct Actor {
        pub name: String,
    }

    struct NoEmptyTitle;

    impl Validator for NoEmptyTitle {
        fn name(&self) -> String {
            "no empty title".into()
        }

        fn validate(&self, _old: &View, new: &View) -> Result<(), BoxError> {
            let empty = new.all::<Movie>().find(|movie| movie.title().is_empty());
            empty.map_or(Ok(()), |movie| Err(format!("movie {} has none", movie.id()).into()))
        }
    }

    fn movie(id: u64) -> Movie {
        let cast = vec![Actor { name: "Al Pacino".into() }];
        Movie { id, title: format!("Movie {id}"), country: "US".into(), cast, sequels: vec![Key::new(id + 1)] }
    }

    pub fn builder(url: &str) -> ProducerBuilder {
        Producer::builder(url)
            .with::<Movie>()
            .validate(RecordCountVariance::of::<Movie>(0.5))
            .validate(FractionChanged::of::<Movie>(0.5))
            .validate(MinimumCount::of::<Movie>(1))
            .validate(NoEmptyTitle)
            .retention(Retention::default())
            .snapshots(SnapshotPolicy::Manual)
            .env(Env::system())
    }

    pub async fn publish(url: &str) -> Result<Token, BoxError> {
        let mut producer: Producer = builder(url).open().await.map_err(|error: OpenError| format!("{:?}: {error}", error.kind()))?;
        let cycled: Cycled = producer.cycle(async |writer: &mut Writer| add_all(writer)).await?;
        let report: &CommitReport = cycled.committed().ok_or("nothing was new")?;
        let movies: &TypeReport = report.of_type("Movie").ok_or("no movies")?;
        assert_eq!(movies.added, 10);
        let updated = producer.update(|changes| {
            changes.upsert(&Movie { title: "Changed".into(), ..movie(3) })?;
            Ok(changes.delete::<Movie>(9)?)
        });
        let updated = updated.await?;
        assert!(updated.value && updated.version() > cycled.version());
        let refused: CycleError = producer.cycle(async |writer| Ok(writer.allow_empty::<Movie>()?)).await.err().ok_or("an empty cycle passed")?;
        let validation: &ValidationError = refused.validation().ok_or("no validator refused")?;
        println!("as it should, {:?}: {validation}", refused.kind());
        let snapshot: SnapshotReport = producer.snapshot().await?;
        println!("snapshot of {} bytes, version {}", snapshot.bytes, producer.version());
        producer.close().await?;
        Ok(updated.token())
    }

    fn add_all(writer: &mut Writer) -> Result<(), BoxError> {
        for id in 0..10 {
            writer.add(&movie(id)).map_err(|error: RecordError| format!("{:?}: {error}", error.kind()))?;
        }
        Ok(())
    }

    /// What a job looks at when a commit fails.
    pub fn what_to_do(error: &CycleError) -> &'static str {
        let _: (Option<&Unknown>, Option<&Refused>, Option<&Lost>, Option<&Panicked>) =
            (error.unknown(), error.refused(), error.lost(), error.panicked());
        match error.kind() {
            _ if error.is_fenced() => "stop: another producer took over",
            ErrorKind::Retry => "try again",
            ErrorKind::Program => "fix the program",
            _ => "ask a person",
        }
    }

    /// Rows without structs.
    pub async fn publish_rows(storage: Storage) -> Result<Version, BoxError> {
        let field = |name: &str, column, kind| Field {
            name: name.into(),
            column: ColumnId(column),
            optional: false,
            sparse: false,
            shape: Shape::One(kind),
            encoding: PLAIN,
        };
        let fields = vec![field("id", 0, ValueKind::UInt(8)), field("name", 1, ValueKind::String)];
        let kind = TypeKind::Root { key: vec![vec!["id".into()]] };
        let place = TypeSchema { name: "Place".into(), kind, fields, next_column: 2, segment_rows_log2: 8 };
        let schema = Schema { types: vec![place] };
        let mut producer = Producer::builder_on(storage).with_schema(&schema).allow(Allow::remove("Place.old")).open().await?;
        let id = producer.schema().find("Place").ok_or("it was declared")?;
        let mut row = Row::new(2);
        row.set(0, |cell| cell.extend_from_slice(&7_u64.to_le_bytes()));
        row.set(1, |cell| cell.extend_from_slice(b"Lisbon"));
        producer.update(|changes| Ok(changes.upsert_row(id, &row)?)).await?;
        let deleted = producer.update(|changes| Ok(changes.delete_key(id, KeyRef::Scalar(8))?)).await?;
        let settled: Settled = producer.settle().await?;
        println!("{settled:?}; was there a place 8? {}", deleted.value);
        producer.close().await?;
        Ok(deleted.version())
    }

    /// Named, though nothing here makes one.
    #[expect(dead_code, reason = "it only has to compile")]
    pub type Errors = (SnapshotError, StorageError, ReadError, DanglingKeys);
}

/// The service.
mod service {
    use std::time::Duration;

    use cenote_consumer::dynamic::{NamedRecord, NamedTable, NamedValue};
    use cenote_consumer::env::Env;
    use cenote_consumer::error::{ErrorKind, LoadError, ReadError};
    use cenote_consumer::schema::{Schema, ValueKind};
    use cenote_consumer::storage::{Storage, StorageError};
    use cenote_consumer::{
        Consumer, ConsumerBuilder, Diff, HashIndex, Health, IndexValue, Key, KeyOf, List, Many, Map, Matches, OldViews, OnEmpty, OpenError,
        Position, Record, Records, RefreshError, RefreshPath, RefreshReport, ReloadPolicy, Root, Set, Status, StepTimes, TableRef, Text,
        Timestamp, Token, Verified, Verifier, VerifyError, Version, View, WaitError,
    };

    #[derive(Record)]
    #[record(key = "id")]
    pub struct Movie {
        id: u64,
        title: String,
        country: String,
        cast: Vec<Actor>,
        sequels: Vec<Key<Movie>>,
    }

    #[derive(Record)]
    pub struct Actor {
        name: String,
    }

    const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");

    pub async fn open(url: &str) -> Result<Consumer, OpenError> {
        let builder: ConsumerBuilder = Consumer::builder(url).with::<Movie>().index(&BY_COUNTRY);
        builder
            .reload(ReloadPolicy::Manual)
            .when_empty(OnEmpty::Wait(Duration::from_secs(1)))
            .on_refresh(|report: &RefreshReport| println!("{} by {:?}", report.to, report.path))
            .env(Env::system())
            .open()
            .await
    }

    pub async fn read(consumer: &Consumer, token: Token) -> Result<(), Box<dyn std::error::Error>> {
        let version: Version = consumer.refresh().await.map_err(|error: RefreshError| format!("{:?}: {error}", error.kind()))?;
        let clone = consumer.clone();
        let view: View = clone.view_at_least(token, Duration::from_secs(1)).await?;
        assert_eq!(view.version(), version);
        let movie: MovieRef<'_> = view.get::<Movie>(3).ok_or("no movie 3")?;
        let cast: List<'_, Actor> = movie.cast();
        let sequel: Option<KeyOf<'_, Movie>> = movie.sequels().iter().next();
        let there = sequel.and_then(|key| view.get_key(key)).is_some();
        let found: Matches<'_, Movie> = view.find(&BY_COUNTRY, movie.country());
        println!("{} {}: {} actors, sequel {there}, {} from there", movie.id(), movie.title(), cast.len(), found.len());
        cast.iter().for_each(|actor: ActorRef<'_>| println!("  {}", actor.name()));
        assert_eq!(found.len(), 9);
        let (table, all): (TableRef<'_, Movie>, Records<'_, Movie>) = (view.table::<Movie>(), view.all::<Movie>());
        assert_eq!(table.len(), all.count());
        by_name(&view)?;
        let status: Status = consumer.status();
        let (health, at): (Health, Timestamp) = (status.health, view.committed_at());
        println!("{health}, committed at {at}");
        Ok(())
    }

    fn by_name(view: &View) -> Result<(), Box<dyn std::error::Error>> {
        let schema: &Schema = view.schema();
        println!("{} types", schema.types.len());
        let table: NamedTable<'_> = view.named("Movie")?;
        let record: NamedRecord<'_> = table.iter().next().ok_or("no records")?;
        let NamedValue::Text(title) = record.get("title")? else { return Err("a title is text".into()) };
        println!("by name: {title}");
        Ok(())
    }

    pub async fn verify(url: &str) -> Result<Verified, VerifyError> {
        Verifier::new(url).run().await
    }

    pub async fn on_storage(storage: Storage) -> Result<usize, Box<dyn std::error::Error>> {
        let consumer = Consumer::builder_on(storage).whole().open().await?;
        let view = consumer.view();
        let wait: Result<View, WaitError> = consumer.view_at_least(format!("1-{:032x}-3e7", 0).parse()?, Duration::ZERO).await;
        let wrong = wait.err().map(|error| (error.is_other_dataset(), error.kind()));
        assert_eq!(wrong, Some((true, ErrorKind::Configuration)));
        Ok(view.named("Place").map_or(0, |table| table.len()))
    }

    /// Named, though nothing here makes one.
    #[expect(dead_code, reason = "it only has to compile")]
    pub type Types<'v> = (
        (Diff<'v, Movie>, Many<'v, 'v, Movie, std::vec::IntoIter<u64>>, Map<'v, u32, u32>, Set<'v, u32>, Text<'v>),
        (OldViews, StepTimes, RefreshPath, Position, StorageError, LoadError, ReadError, ValueKind),
    );
    pub fn generic<T: Root, V: IndexValue>(view: &View) -> usize {
        view.len::<T>()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = "memory://outside";
    let token = job::publish(url).await.map_err(|error| error.to_string())?;
    let consumer = service::open(url).await?;
    service::read(&consumer, token).await?;
    println!("verified: {:?}", service::verify(url).await?);
    consumer.close().await;
    let missing = service::open("memory://nothing-here").await.err().ok_or("there is nothing to open")?;
    println!("as it should: {missing}");
    let storage = cenote_producer::storage::Storage::open("memory://rows", &[]).await?;
    job::publish_rows(storage).await.map_err(|error| error.to_string())?;
    let storage = cenote_consumer::storage::Storage::open("memory://rows", &[]).await?;
    assert_eq!(service::on_storage(storage).await?, 1);
    let _ = (job::what_to_do, Duration::ZERO, service::generic::<service::Movie, u64>);
    Ok(())
}
