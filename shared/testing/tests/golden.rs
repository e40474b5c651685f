//! Golden files: objects of each format version, written once and readable by every later release. And a digest computed by hand.
//!
//! `golden/<format>/` has one file per kind of object, and what they hold as text. A format that changes gets a new
//! folder; the old one stays, and its tests with it. `CENOTE_GOLDEN=write` writes the folder of the newest format where
//! a file is missing: it never changes one that is there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use cenote_state::blob::{SnapshotReader, TAIL_BYTES, decode_delta, encode_snapshot, footer_of};
use cenote_state::digest::state_digest;
use cenote_state::held::Selection;
use cenote_state::ids::{DatasetId, Epoch, Position, Timestamp, Version};
use cenote_state::record::{Binding, Registry};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::view::View;
use cenote_store::log::{Body, DeltaPlace, Entry, Hint, Kind, LogObject, LogState, Tombstone, decode, names};
use cenote_testing::hostile::TARGETS;
use xxhash_rust::xxh3::xxh3_128;

const DATASET: DatasetId = DatasetId(*b"0123456789abcdef");
const LOG_KEY: &str = "log/00000000000000000042";

/// A format's folder.
#[derive(Clone, Copy)]
struct Golden(u8);

const FORMATS: [Golden; 1] = [Golden(2)];

impl Golden {
    fn folder(self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{}", self.0))
    }

    fn golden(self, name: &str) -> Bytes {
        let path = self.folder().join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
    }
}

fn entry(of: Golden, name: &str) -> Entry {
    let bytes = of.golden(name);
    let LogObject::Entry(entry) = decode(LOG_KEY, &bytes).expect(name) else { panic!("{name} is an entry") };
    let (_, again) = Entry::encode(entry.head.clone(), entry.body.clone()).expect(name);
    assert_eq!(again, bytes, "{name}: this release writes the same bytes");
    *entry
}

fn snapshot(of: Golden, name: &str) -> State {
    let bytes = of.golden(name);
    let footer = footer_of(&bytes).expect(name);
    let sum =
        |info: &cenote_state::blob::TypeInfo| info.sums.iter().fold(0, |sum: u128, (_, one)| sum.wrapping_add(*one));
    let digest = state_digest(footer.types.iter().map(|info| (info.type_id, sum(info))));
    let reader = SnapshotReader::new(footer, DATASET, digest, &Selection::Whole, 9, 1 << 24).expect(name);
    let runs: Vec<_> = reader.runs().collect();
    let stored = |range: std::ops::Range<u64>| bytes.get(range.start as usize..range.end as usize);
    let decoded = (0..runs.len()).map(|number| reader.decode_run(number, &stored, &mut Vec::new()));
    let decoded = decoded.collect::<Result<_, _>>().expect(name);
    let state = reader.finish(decoded, Version(1), 1).expect(name);
    state.check_invariants();
    assert_eq!(state.digest(), digest);
    state
}

/// Every record of every type, a line each.
fn as_text(state: &State) -> String {
    let nothing = Registry::new().finish().expect("no types are sound");
    let binding = Binding::new(&nothing, state.schema()).expect("nothing fits anything");
    let view = View::new(state.clone(), Arc::new(binding), Timestamp(0));
    let mut text = format!("digest {:032x}\n", state.digest());
    for table in view.named_tables() {
        for record in table.iter() {
            let json = serde_json::to_string(&record).expect("whatever is read has a JSON form");
            text.push_str(&format!("{} {} {json}\n", table.schema().name, record.ordinal()));
        }
    }
    text
}

/// Writes what is missing.
fn write_missing() {
    let newest = FORMATS[FORMATS.len() - 1];
    std::fs::create_dir_all(newest.folder()).expect("the folder can be made");
    let write = |name: String, bytes: &[u8]| {
        let path = newest.folder().join(name);
        if !path.exists() {
            std::fs::write(path, bytes).expect("it can be written");
        }
    };
    for target in &TARGETS {
        for (number, bytes) in (target.seeds)().iter().enumerate() {
            write(format!("{}-{number}", target.name), bytes);
        }
    }
    for number in [0, 2, 4] {
        write(format!("snapshot-{number}.txt"), as_text(&snapshot(newest, &format!("snapshot-{number}"))).as_bytes());
    }
}

#[test]
fn objects_of_every_format_are_read() {
    if std::env::var_os("CENOTE_GOLDEN").is_some() {
        write_missing();
    }
    for format in FORMATS {
        heads_are_read(format);
        bodies_are_read(format);
        beginnings_are_read(format);
        states_are_read(format);
    }
}

fn heads_are_read(of: Golden) {
    let kinds = [Kind::Open, Kind::Commit, Kind::Commit, Kind::Snapshot, Kind::Checkpoint, Kind::Trim];
    for (number, kind) in kinds.into_iter().enumerate() {
        let head = entry(of, &format!("entry-{number}")).head;
        assert_eq!((head.kind, head.position, head.dataset), (kind, Position(42), DATASET));
        assert_eq!((head.nonce, head.time), (*b"nonce-nonce-nonc", Timestamp(1_767_225_600_000)));
        assert_eq!(head.epoch, Epoch(if kind == Kind::Open { 4 } else { 3 }));
        assert_eq!(head.checkpoint, Position(if kind == Kind::Checkpoint { 42 } else { 5 }));
        assert_eq!(head.log_start, Position(if kind == Kind::Trim { 6 } else { 4 }));
    }
}

fn bodies_are_read(of: Golden) {
    let Body::Open(open) = entry(of, "entry-0").body else { panic!("an open") };
    assert_eq!(open.owner, "host-1");
    let Body::Commit(by_name) = entry(of, "entry-1").body else { panic!("a commit") };
    let DeltaPlace::Blob(blob) = by_name.delta else { panic!("a blob") };
    assert_eq!(blob.name, "blobs/00000000000000000042-3-07070707070707070707070707070707");
    assert_eq!((blob.length, by_name.schema.is_none()), (1 << 30, true));
    let Body::Commit(inside) = entry(of, "entry-2").body else { panic!("a commit") };
    assert_eq!((inside.parent, inside.republishes), (Version(40), Some(Version(7))));
    assert_eq!(inside.tags, BTreeMap::from([("release".to_owned(), "8.1.9".to_owned())]));
    assert_eq!(inside.schema.as_ref().map(Schema::check), Some(Ok(())));
    assert_eq!(inside.counts.len(), inside.schema.expect("there is one").types.len());
    assert_eq!(inside.delta, DeltaPlace::Inline(of.golden("delta_blob-1")));
    let Body::Snapshot(named) = entry(of, "entry-3").body else { panic!("a snapshot") };
    assert_eq!((named.version, named.object.length, named.digest), (Version(40), 1 << 40, 5));
    let Body::Checkpoint(named) = entry(of, "entry-4").body else { panic!("a checkpoint") };
    assert_eq!(named.name, "checkpoints/00000000000000000042-3-07070707070707070707070707070707");
    let Body::Trim(trim) = entry(of, "entry-5").body else { panic!("a trim") };
    assert_eq!(trim.log_start, Position(6));
}

fn beginnings_are_read(of: Golden) {
    let tombstone = Tombstone { dataset: DATASET, log_start: Position(43), time: Timestamp(1_767_225_600_123) };
    assert_eq!(decode(LOG_KEY, &of.golden("tombstone-0")), Ok(LogObject::Tombstone(tombstone)));
    assert_eq!(tombstone.encode(), of.golden("tombstone-0"));
    let hint = Hint::decode(names::HINT, &of.golden("hint-0")).expect("a hint");
    assert_eq!((hint.dataset, hint.position, hint.epoch, hint.beat), (DATASET, Position(42), Epoch(3), 7));
    assert_eq!((hint.owner.as_deref(), hint.heartbeat_interval.as_secs()), (Some("host-1"), 15));
    assert_eq!(hint.encode(), of.golden("hint-0"));
    assert_eq!(Hint::decode(names::HINT, &of.golden("hint-1")).expect("a hint").owner, None);
    let log_state = LogState::decode("checkpoints/x", &of.golden("checkpoint-0")).expect("a checkpoint");
    assert_eq!((log_state.position, log_state.epoch, log_state.log_start), (Position(41), Epoch(3), Position(4)));
    assert_eq!((log_state.checkpoint, log_state.version), (Position(5), Version(40)));
    assert_eq!((log_state.cost.bytes, log_state.cost.requests), (90_000, 41));
    assert_eq!((log_state.snapshots[0].snapshot.version, log_state.marks[1].version), (Version(8), Version(40)));
    assert_eq!(log_state.encode().expect("it fits"), of.golden("checkpoint-0"));
}

/// Three states, each compressed and plain; two deltas between them, each compressed and plain.
fn states_are_read(of: Golden) {
    let states: Vec<_> = (0..6).map(|number| snapshot(of, &format!("snapshot-{number}"))).collect();
    for (number, state) in states.iter().enumerate() {
        let text = of.golden(&format!("snapshot-{}.txt", number / 2 * 2));
        assert_eq!(as_text(state), String::from_utf8_lossy(&text), "snapshot-{number}");
        let again = encode_snapshot(DATASET, state, 1).to_bytes();
        let footer = footer_of(&again).expect("what is written is read");
        assert_eq!(footer.types, footer_of(&of.golden(&format!("snapshot-{number}"))).expect("it is read").types);
    }
    for number in 0..4 {
        let (before, after) = (&states[number / 2 * 2], &states[number / 2 * 2 + 2]);
        let delta =
            decode_delta(&of.golden(&format!("delta_blob-{number}")), DATASET, before, 1 << 24).expect("a delta");
        let state = before.applied(&delta, Version(2), 1).expect("it fits");
        assert_eq!(as_text(&state), as_text(after), "delta_blob-{number}");
    }
}

/// Format 1 was given up before the first release; a reader that meets it gets what to do, and not that it is damaged.
#[test]
fn format_1_is_refused_by_its_number() {
    let of_format_1 = |name: &str, at: &[usize]| {
        let mut bytes = FORMATS[0].golden(name).to_vec();
        at.iter().for_each(|at| bytes[*at] = 1);
        Bytes::from(bytes)
    };
    let end = |name: &str| FORMATS[0].golden(name).len() - TAIL_BYTES + 4;
    let texts = [
        decode(LOG_KEY, &of_format_1("entry-2", &[8])).expect_err("format 1").to_string(),
        decode(LOG_KEY, &of_format_1("tombstone-0", &[8])).expect_err("format 1").to_string(),
        Hint::decode("hint", &of_format_1("hint-0", &[8])).expect_err("format 1").to_string(),
        LogState::decode("checkpoints/x", &of_format_1("checkpoint-0", &[8])).expect_err("format 1").to_string(),
        footer_of(&of_format_1("snapshot-0", &[8, end("snapshot-0")])).expect_err("format 1").to_string(),
        footer_of(&of_format_1("delta_blob-0", &[8, end("delta_blob-0")])).expect_err("format 1").to_string(),
    ];
    for text in texts {
        assert!(text.ends_with(" has format 1; this version reads format 2: make the dataset again"), "{text}");
    }
}

mod by_hand {
    use super::*;
    use cenote_state::Record;
    use cenote_state::delta::Changes;
    use cenote_state::ids::{Ordinal, TypeId};
    use cenote_state::record::{Interner, RowWriter, WriteError};
    use cenote_state::row::Row;

    /// Columns 0, 1 and 2.
    #[derive(Record)]
    #[record(key = "id")]
    struct Film {
        id: u16,
        title: String,
        rating: Option<f32>,
    }

    struct NoComponents;

    impl Interner for NoComponents {
        fn intern(&mut self, _: TypeId, _: &Row) -> Result<Ordinal, WriteError> {
            unreachable!("a film has no components")
        }
    }

    fn state_of(films: &[Film]) -> State {
        let declared = Registry::new().with::<Film>().finish().expect("it is sound");
        let state = State::empty(Arc::new(declared.schema().clone()), 7).expect("it is sound");
        let binding = Binding::new(&declared, state.schema()).expect("it fits itself");
        let mut changes = Changes::new(&state);
        for (film, ordinal) in films.iter().zip(0..) {
            let mut row = Row::default();
            RowWriter::new().write(film, &binding, &mut NoComponents, &mut row).expect("within the limits");
            changes.add(TypeId(0), Ordinal(ordinal), &row);
        }
        let delta = changes.finish();
        state.applied(&delta, Version(1), 1).expect("it fits")
    }

    /// Two films at ordinals 0 and 1 of type 0, all bytes written out. Per cell: the ordinal (4 bytes), the column
    /// (2), and the xxh3-128 of the canonical bytes (16), hashed; presence is column 0xFFFF of no bytes; per type the
    /// sum; for the state the type's number (2) and its sum (16), hashed. All little-endian.
    #[test]
    fn a_digest_is_what_the_design_says() {
        let cell = |ordinal: u8, column: [u8; 2], canonical: &[u8]| {
            let place = [&[ordinal, 0, 0, 0][..], &column, &xxh3_128(canonical).to_le_bytes()].concat();
            xxh3_128(&place)
        };
        let cells = [
            cell(0, [0xFF, 0xFF], b""),
            cell(0, [0, 0], &[7, 0, 0, 0, 0, 0, 0, 0]),
            cell(0, [1, 0], b"Alien"),
            cell(0, [2, 0], &[0x00, 0x00, 0x20, 0x41]), // 10.0 as f32
            cell(1, [0xFF, 0xFF], b""),
            cell(1, [0, 0], &[0xFF, 0xFF, 0, 0, 0, 0, 0, 0]),
            cell(1, [1, 0], b""), // an empty title is a value; the rating is absent and adds nothing
        ];
        let of_type = cells.iter().fold(0_u128, |sum, cell| sum.wrapping_add(*cell));
        let of_state = xxh3_128(&[&[0, 0][..], &of_type.to_le_bytes()].concat());
        let films = [
            Film { id: 7, title: "Alien".into(), rating: Some(10.0) },
            Film { id: 65_535, title: String::new(), rating: None },
        ];
        let state = state_of(&films);
        assert_eq!(state.tables()[0].sums().total(), of_type);
        assert_eq!(state.digest(), of_state);
        // The number itself, so that a change of both sides at once is seen, too.
        assert_eq!(format!("{of_state:032x}"), "82e97063477c641d0b6faa724666a4f9");
        assert_eq!(state_of(&[]).digest(), 0);
    }
}
