//! A small dataset to make valid objects from: two states of two root types with components, and their log entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use cenote_state::blob::{blob_of_chunks, decode_delta, encode_delta, encode_snapshot, uncompressed};
use cenote_state::codec;
use cenote_state::delta::{self, Changes, Delta};
use cenote_state::digest::PRESENCE;
use cenote_state::hash::Hash;
use cenote_state::held::Selection;
use cenote_state::ids::{ColumnId, DatasetId, Epoch, Ordinal, Position, Timestamp, TypeId, Version};
use cenote_state::layout::Layout;
use cenote_state::packed::{SymbolTable, Symbols};
use cenote_state::record::{BindError, Binding, Declared, Key, Registry, RowWriter};
use cenote_state::row::Row;
use cenote_state::schema::Schema;
use cenote_state::segment;
use cenote_state::state::State;
use cenote_state::view::indexes::{ChangedRoots, IndexBinding};
use cenote_state::view::{HashIndex, IndexDeclaration, Indexes, View};
use cenote_state::{Record, Version as V};
use cenote_store::log::names::{Folder, ObjectName};
use cenote_store::log::state::{Cost, KeptSnapshot, Mark};
use cenote_store::log::{
    Body, Commit, DeltaPlace, Entry, Head, Hint, Kind, LogState, ObjectRef, Open, Snapshot, Tombstone, Trim,
};

use crate::interner::Components;

pub(super) const DATASET: DatasetId = DatasetId(*b"0123456789abcdef");
pub(super) const NAME: &str = "log/00000000000000000042";

const POSITION: Position = Position(42);
const EPOCH: Epoch = Epoch(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
enum Mood {
    Calm,
    Wild,
    #[record(other)]
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Tag {
    text: String,
    place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Place {
    zip: u32,
}

/// Every shape of field.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Sample {
    id: u64,
    flag: bool,
    small: i8,
    ratio: f64,
    rating: Option<f32>,
    name: String,
    nick: Option<String>,
    data: Vec<u8>,
    blobs: Vec<Vec<u8>>,
    mood: Mood,
    #[record(dedup)]
    country: String,
    tag: Tag,
    tags: BTreeSet<Tag>,
    words: Vec<String>,
    numbers: Vec<i32>,
    by_name: BTreeMap<String, Tag>,
    by_number: BTreeMap<u16, f32>,
    next: Option<Key<Owner>>,
    #[record(packed)]
    story: String,
    #[record(packed)]
    aside: Option<String>,
}

/// A key of several parts, one of them in a component.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = ["name", "place.zip", "mood"])]
struct Owner {
    name: String,
    place: Place,
    mood: Mood,
    wealth: i64,
}

/// A part of the same, as a reader declares it that needs little: some columns of each kind of place in a row.
mod part {
    use super::{BTreeSet, Record};

    #[derive(Record)]
    #[record(key = "id")]
    pub(super) struct Sample {
        id: u64,
        rating: Option<f32>,
        nick: Option<String>,
        tags: BTreeSet<Tag>,
        words: Vec<String>,
        #[record(packed)]
        aside: Option<String>,
    }

    #[derive(PartialEq, Eq, PartialOrd, Ord, Record)]
    pub(super) struct Tag {
        text: String,
    }
}
const BY_COUNTRY: HashIndex<Sample, str> = HashIndex::on("country");
const BY_TAG: HashIndex<Sample, str> = HashIndex::on("tags.text");
const BY_NAME: HashIndex<Sample, str> = HashIndex::on("name");

fn tag(number: u64) -> Tag {
    Tag {
        text: format!("tag {}", number % 5),
        place: number.is_multiple_of(3).then_some(Place { zip: number as u32 % 4 }),
    }
}

fn sample(id: u64) -> Sample {
    Sample {
        id,
        flag: id.is_multiple_of(2),
        small: (id as i8).wrapping_mul(37),
        ratio: id as f64 / 3.0,
        rating: id.is_multiple_of(3).then_some(id as f32),
        name: format!("näme {id}"),
        nick: id.is_multiple_of(4).then(|| "n".repeat(id as usize % 9)),
        data: vec![id as u8; id as usize % 5],
        blobs: vec![vec![1; 3], Vec::new()],
        mood: if id.is_multiple_of(2) { Mood::Calm } else { Mood::Wild },
        country: ["nl", "be", ""][id as usize % 3].to_owned(),
        tag: tag(id),
        tags: (0..id % 4).map(tag).collect(),
        words: (0..id % 3).map(|word| format!("wörd{word}")).collect(),
        numbers: (0..id as i32 % 6).map(|number| number * -70_000).collect(),
        by_name: (0..id % 3).map(|entry| (format!("k{entry}"), tag(entry))).collect(),
        by_number: (0..id as u16 % 3).map(|entry| (entry, f32::NAN)).collect(),
        next: id.is_multiple_of(5).then(|| Key::new((format!("o{}", id % 7).as_str(), (id % 4) as u32, Mood::Calm))),
        story: "der schöne Teich ".repeat(id as usize % 4),
        aside: id.is_multiple_of(2).then(|| format!("aside {id}")),
    }
}

fn owner(number: u64) -> Owner {
    Owner {
        name: format!("o{number}"),
        place: Place { zip: number as u32 % 4 },
        mood: Mood::Calm,
        wealth: -(number as i64),
    }
}

/// States, the deltas between them, and a binding that reads them.
pub(super) struct World {
    /// Without records; with some; with some changed.
    pub(super) states: [State; 3],
    /// What a reader holds that declares a part.
    pub(super) part: Selection,
    /// The same states, as that reader has them.
    parts: [State; 3],
    deltas: [Delta; 2],
    pub(super) log_state: LogState,
    declared: Declared,
    nothing: Declared,
}

/// The sample that every decoder runs with.
pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

impl World {
    fn new() -> World {
        let declared = Registry::new().with::<Sample>().with::<Owner>().finish().expect("the types are sound");
        let nothing = Registry::new().finish().expect("no types are sound");
        let mut schema = declared.schema().clone();
        schema.types.iter_mut().for_each(|schema| schema.segment_rows_log2 = 3);
        let empty = State::empty(Arc::new(schema), 7).expect("the schema is sound");
        let binding = Binding::new(&declared, empty.schema()).expect("a type fits itself");
        let mut components = Components::default();
        let first = first_delta(&empty, &binding, &mut components);
        let some = empty.applied(&first, V(1), 1).expect("it fits");
        let second = second_delta(&some, &binding, &mut components);
        let changed = some.applied(&second, V(2), 1).expect("it fits");
        changed.check_invariants();
        let log_state = log_state(&changed);
        let part = Registry::new().with::<part::Sample>().finish().expect("the types are sound");
        let part = Selection::declared(Arc::new(part));
        let nothing_of_it = State::empty_of(&part, Arc::clone(empty.schema()), 7).expect("the schema is sound");
        let some_of_it = followed(&nothing_of_it, &first, (&empty, &some));
        let changed_of_it = followed(&some_of_it, &second, (&some, &changed));
        World {
            states: [empty, some, changed],
            parts: [nothing_of_it, some_of_it, changed_of_it],
            part,
            deltas: [first, second],
            log_state,
            declared,
            nothing,
        }
    }

    /// All states, whole and in part.
    pub(super) fn all(&self) -> impl Iterator<Item = &State> {
        self.states.iter().chain(&self.parts)
    }

    /// The blob of the delta that follows each state; of the newest one, the one that led to it.
    pub(super) fn next_deltas(&self) -> [Bytes; 3] {
        let [first, second] = [0, 1].map(|at| encode_delta(DATASET, &self.deltas[at], &self.states[at], 1).to_bytes());
        [first, second.clone(), second]
    }

    /// Indexes by one field, and through a component, of a state.
    pub(super) fn indexes(&self, state: &State) -> Indexed {
        let declared =
            [IndexDeclaration::new(&BY_COUNTRY), IndexDeclaration::new(&BY_TAG), IndexDeclaration::new(&BY_NAME)];
        let binding = IndexBinding::new(&declared, &self.declared, state.schema()).expect("the sample has the fields");
        let binding = Arc::new(binding);
        Indexed {
            indexes: Indexes::build(Arc::clone(&binding), state, 9, 1, u64::MAX).expect("there is room for any"),
            binding,
        }
    }

    pub(super) fn newest(&self) -> &State {
        &self.states[2]
    }

    pub(super) fn binding_for(&self, schema: &Schema) -> Result<Binding, BindError> {
        Binding::new(&self.declared, schema)
    }

    /// A view that is read by names alone.
    pub(super) fn view(&self, state: &State) -> View {
        let binding = Binding::new(&self.nothing, state.schema()).expect("nothing fits anything");
        View::new(state.clone(), Arc::new(binding), Timestamp(0))
    }

    /// Reads the sample's own types, where the schema still has them.
    pub(super) fn read_typed(&self, state: &State) {
        let Ok(binding) = self.binding_for(state.schema()) else { return };
        let view = View::new(state.clone(), Arc::new(binding), Timestamp(0));
        for record in view.all::<Sample>() {
            let _ = record.to_owned();
            let _ = view.get::<Sample>(record.id());
            let _ = record.next().and_then(|owner| owner.get(&view)).map(OwnerRef::to_owned);
        }
        for owner in view.all::<Owner>() {
            let _ = view.get::<Owner>((owner.name(), owner.place().zip(), owner.mood()));
        }
    }
}

/// A state of a part after a delta that leads from one whole state to another.
fn followed(part: &State, delta: &Delta, (old, new): (&State, &State)) -> State {
    let blob = encode_delta(DATASET, delta, old, 1).to_bytes();
    let sums = new.tables().iter().flat_map(|table| {
        let columns = table.layout().columns.iter().map(|column| column.id).chain([PRESENCE]);
        let sums = table.sums().columns.iter().chain([&table.sums().presence]);
        columns.zip(sums).map(|(column, sum)| (table.layout().type_id, column, *sum))
    });
    let delta = decode_delta(&blob, DATASET, part, 1 << 20).expect("it is sound");
    let state = part.applied(&delta, new.version(), 1).expect("it fits").with_sums_of_unheld(sums);
    state.check_invariants();
    assert_eq!(state.digest(), new.digest(), "the sums of what is not held make up the digest");
    state
}

/// The indexes of a state.
pub(super) struct Indexed {
    binding: Arc<IndexBinding>,
    indexes: Indexes,
}

impl Indexed {
    /// Those of the next state, by what a delta says that it changed.
    pub(super) fn updated(&self, before: &State, delta: &Delta, after: &State) -> Indexes {
        let mut changed = ChangedRoots::default();
        changed.note(delta, after, &self.binding);
        let updated = self.indexes.updated(Arc::clone(&self.binding), before, after, changed, 9, 1, u64::MAX);
        updated.expect("there is room for any")
    }
}

/// Writes records at these ordinals.
fn add<T: cenote_state::Root>(changes: &mut Vec<(TypeId, Ordinal, Row)>, state: &State, row: Row, ordinal: u32) {
    let id = state.schema().find(T::NAME).expect("the sample has the type");
    changes.push((id, Ordinal(ordinal), row));
}

fn row<T: Record>(record: &T, binding: &Binding, components: &mut Components) -> Row {
    let mut row = Row::default();
    RowWriter::new().write(record, binding, components, &mut row).expect("within the limits");
    row
}

fn first_delta(empty: &State, binding: &Binding, components: &mut Components) -> Delta {
    let mut rows = Vec::new();
    for id in 0..13 {
        let row = row(&sample(id), binding, components);
        add::<Sample>(&mut rows, empty, row, id as u32);
    }
    for number in 0..5 {
        let row = row(&owner(number), binding, components);
        add::<Owner>(&mut rows, empty, row, number as u32);
    }
    finish(empty, components, rows, |changes| {
        let id = empty.schema().find(Sample::NAME).expect("the sample has the type");
        let schema = empty.schema().get(id);
        let story = schema.fields[schema.field("story").expect("it is a field")].column;
        let words = ["der ", "s", "ö", "schöne ", "Teich "].map(str::as_bytes);
        let lengths = words.map(|word| word.len() as u8);
        let symbols = SymbolTable::new(&lengths, &words.concat()).expect("it is a table");
        let mut all = Symbols::default();
        assert!(all.push(story, symbols), "it is the first");
        changes.bring_symbols(id, Arc::new(all));
    })
}

/// Removes, adds and changes some records.
fn second_delta(some: &State, binding: &Binding, components: &mut Components) -> Delta {
    let id = some.schema().find(Sample::NAME).expect("the sample has the type");
    let fields: Vec<usize> = ["rating", "name", "numbers", "tags", "story", "aside"]
        .iter()
        .filter_map(|name| some.schema().get(id).fields.iter().position(|field| field.name == *name))
        .collect();
    let mut fields = fields;
    fields.sort_unstable();
    let mut rows = Vec::new();
    for number in [13_u64, 14] {
        let row = row(&sample(number), binding, components);
        add::<Sample>(&mut rows, some, row, number as u32);
    }
    let patched = Sample {
        rating: None,
        name: "other".into(),
        numbers: vec![7; 9],
        story: "other story".into(),
        aside: None,
        ..sample(4)
    };
    let patched = row(&patched, binding, components);
    finish(some, components, rows, |changes| {
        changes.remove(id, Ordinal(2));
        changes.remove(id, Ordinal(9));
        changes.patch(id, Ordinal(4), &fields, &patched);
    })
}

fn finish(
    state: &State,
    components: &mut Components,
    rows: Vec<(TypeId, Ordinal, Row)>,
    more: impl FnOnce(&mut Changes<'_>),
) -> Delta {
    let mut changes = Changes::new(state);
    more(&mut changes);
    for (id, ordinal, row) in components.take_added().chain(rows) {
        changes.add(id, ordinal, &row);
    }
    changes.finish()
}

fn object(folder: Folder, position: u64, length: u64) -> ObjectRef {
    let name = ObjectName { folder, position: Position(position), epoch: EPOCH, id: [7; 16] };
    ObjectRef { name: name.to_string(), length, hash: Hash::of(b"object") }
}

/// Just before [`NAME`].
fn log_state(newest: &State) -> LogState {
    let cost = |bytes, requests| Cost { bytes, requests };
    let snapshot = Snapshot {
        version: Version(8),
        object: object(Folder::Snapshots, 8, 5_000),
        digest: 5,
        committed_at: Timestamp(0),
    };
    LogState {
        dataset: DATASET,
        position: Position(41),
        hash: Hash::of(b"before"),
        epoch: EPOCH,
        checkpoint: Position(5),
        log_start: Position(4),
        whole_from: Position(0),
        version: Version(40),
        digest: newest.digest(),
        cost: cost(90_000, 41),
        snapshots: vec![KeptSnapshot { snapshot, time: Timestamp(9), cost: cost(40_000, 8) }],
        marks: vec![
            Mark { version: Version(8), cost: cost(40_000, 8) },
            Mark { version: Version(40), cost: cost(90_000, 40) },
        ],
    }
}

fn head(kind: Kind) -> Head {
    Head {
        position: POSITION,
        dataset: DATASET,
        epoch: if kind == Kind::Open { Epoch(4) } else { EPOCH },
        kind,
        nonce: *b"nonce-nonce-nonc",
        time: Timestamp(1_767_225_600_000),
        checkpoint: if kind == Kind::Checkpoint { POSITION } else { Position(5) },
        log_start: if kind == Kind::Trim { Position(6) } else { Position(4) },
        previous: Hash::of(b"before"),
        hash: Hash::NONE,
    }
}

/// One of every kind.
pub(super) fn entries() -> Vec<Bytes> {
    let world = world();
    let delta = delta_blobs().remove(1);
    let commit = Commit {
        parent: Version(40),
        parent_digest: world.states[1].digest(),
        digest: world.newest().digest(),
        column_digests: vec![(TypeId(0), ColumnId(1), 17), (TypeId(0), ColumnId(0xFFFF), 18)],
        counts: world.newest().counts(),
        tags: BTreeMap::from([("release".to_owned(), "8.1.9".to_owned())]),
        schema: Some(world.newest().schema().as_ref().clone()),
        delta: DeltaPlace::Inline(delta),
        republishes: Some(Version(7)),
    };
    let blob = DeltaPlace::Blob(object(Folder::Blobs, 42, 1 << 30));
    let bodies = [
        Body::Open(Open { owner: "host-1".to_owned() }),
        Body::Commit(Box::new(Commit { delta: blob, schema: None, ..commit.clone() })),
        Body::Commit(Box::new(commit)),
        Body::Snapshot(Snapshot {
            version: Version(40),
            object: object(Folder::Snapshots, 40, 1 << 40),
            digest: 5,
            committed_at: Timestamp(0),
        }),
        Body::Checkpoint(object(Folder::Checkpoints, 42, 500)),
        Body::Trim(Trim { log_start: Position(6) }),
    ];
    let encode = |body: Body| Entry::encode(head(body.kind()), body).expect("it is sound").1;
    bodies.into_iter().map(encode).collect()
}

pub(super) fn tombstones() -> Vec<Bytes> {
    vec![Tombstone { dataset: DATASET, log_start: Position(43), time: Timestamp(1_767_225_600_123) }.encode()]
}

pub(super) fn hints() -> Vec<Bytes> {
    let hint = Hint {
        dataset: DATASET,
        position: POSITION,
        epoch: EPOCH,
        beat: 7,
        owner: Some("host-1".to_owned()),
        heartbeat_interval: Duration::from_secs(15),
    };
    vec![hint.encode(), Hint { owner: None, ..hint }.encode()]
}

pub(super) fn checkpoints() -> Vec<Bytes> {
    vec![world().log_state.encode().expect("it fits")]
}

/// As written, and without compression: mutations reach the records only there.
fn both(blob: Bytes) -> [Bytes; 2] {
    let plain = uncompressed(&blob).into();
    [blob, plain]
}

pub(super) fn snapshots() -> Vec<Bytes> {
    let blobs = world().states.iter().map(|state| encode_snapshot(DATASET, state, 1).to_bytes());
    blobs.flat_map(both).collect()
}

pub(super) fn delta_blobs() -> Vec<Bytes> {
    let World { states, deltas, .. } = world();
    let blobs = deltas.iter().zip(states).map(|(delta, parent)| encode_delta(DATASET, delta, parent, 1).to_bytes());
    blobs.flat_map(both).collect()
}

pub(super) fn delta_chunks() -> Vec<Bytes> {
    let World { states, deltas, .. } = world();
    let sections = deltas
        .iter()
        .zip(states)
        .flat_map(|(delta, parent)| delta::encode(delta, &|id| parent.table(id).layout().clone(), 1 << 20));
    sections.map(Bytes::from).collect()
}

/// Chunks of rows without a byte, as many as ordinals of a byte each: added, patched in all fields but the key, and
/// whole segments. The part holds these types, too: chunks of others take nothing there, so they would be no lies.
fn wide_chunks(rows: u32) -> Vec<Vec<u8>> {
    let state = world().newest();
    let of = |name: &str| state.schema().find(name).expect("the sample has the type");
    let (tag, sample) = (of(Tag::NAME), of(Sample::NAME));
    let fields: Vec<usize> = (1..state.table(sample).layout().columns.len()).collect();
    let patched = Layout::of_fields(state.schema(), sample, &fields).expect("its own layout was made");
    let mut ordinals = rows.to_le_bytes().to_vec();
    ordinals.extend([0, 0, 0, 0, 1]);
    ordinals.resize(ordinals.len() + rows as usize - 1, 1);
    let columns = patched.columns.iter().flat_map(|column| column.id.0.to_le_bytes());
    let columns: Vec<u8> = (fields.len() as u16).to_le_bytes().into_iter().chain(columns).collect();
    let added = [&ordinals[..], &empty_rows(state.table(tag).layout(), rows)].concat();
    let patched = [&columns[..], &ordinals, &empty_rows(&patched, rows)].concat();
    let whole = (0..rows / 8).flat_map(|number| {
        let rows = empty_rows(state.table(tag).layout(), 8);
        chunk(4, tag, &[&number.to_le_bytes()[..], &rows].concat())
    });
    vec![chunk(2, tag, &added), chunk(3, sample, &patched), whole.collect()]
}

fn chunk(kind: u8, type_id: TypeId, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_le_bytes();
    [&[kind][..], &type_id.0.to_le_bytes(), &length, body].concat()
}

/// A segment of `rows` empty rows that takes no byte for any of them.
fn empty_rows(layout: &Layout, rows: u32) -> Vec<u8> {
    let mut bytes = rows.to_le_bytes().to_vec();
    bytes.extend([0; 8]);
    for slot in 0..layout.all_slots {
        bytes.extend([0; 8]);
        bytes.push(u8::from(slot >= layout.row_slots));
    }
    bytes
}

pub(super) fn lying_delta_chunks() -> Vec<Bytes> {
    wide_chunks(1 << 20).into_iter().map(Bytes::from).collect()
}

/// A few hundred bytes each, and millions of records.
pub(super) fn lying_delta_blobs() -> Vec<Bytes> {
    let blobs = wide_chunks(1 << 22).into_iter().map(|chunks| blob_of_chunks(DATASET, &chunks));
    blobs.collect()
}

pub(super) fn segments() -> Vec<Bytes> {
    let mut all = Vec::new();
    for table in world().newest().tables() {
        for segment in (0..table.segment_count()).filter_map(|number| table.segment(number)) {
            let mut bytes = Vec::new();
            segment::encode(table.layout(), segment, &mut bytes);
            all.push(bytes.into());
        }
    }
    all
}

pub(super) fn schemas() -> Vec<Bytes> {
    let schema = world().newest().schema();
    vec![codec::encode(schema.as_ref(), super::SCHEMA_BYTES_MAX).expect("it fits").into()]
}
