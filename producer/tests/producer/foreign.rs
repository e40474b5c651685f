//! Fields of types that are not records': newtypes, adapters, and fields that the dataset does not have.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cenote_producer::Adapter;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Code(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
struct Number(u32);

#[derive(Clone, Copy, Debug, PartialEq, Record)]
struct Weight(f64);

/// As another crate would have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uuid([u8; 16]);

struct UuidBytes;

impl Adapter for UuidBytes {
    type Foreign = Uuid;
    type Stored = Vec<u8>;

    fn store(uuid: &Uuid) -> Vec<u8> {
        uuid.0.to_vec()
    }
    fn load(bytes: Vec<u8>) -> Uuid {
        Uuid(bytes.try_into().unwrap_or_default())
    }
}

struct Millis;

impl Adapter for Millis {
    type Foreign = Option<SystemTime>;
    type Stored = Option<u64>;

    fn store(time: &Option<SystemTime>) -> Option<u64> {
        time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
    }
    fn load(millis: Option<u64>) -> Option<SystemTime> {
        millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    }
}

struct Shared;

impl Adapter for Shared {
    type Foreign = Arc<str>;
    type Stored = String;

    fn store(text: &Arc<str>) -> String {
        text.to_string()
    }
    fn load(text: String) -> Arc<str> {
        text.into()
    }
}

struct Point;

impl Adapter for Point {
    type Foreign = [f32; 3];
    type Stored = Vec<f32>;

    fn store(point: &[f32; 3]) -> Vec<f32> {
        point.to_vec()
    }
    fn load(point: Vec<f32>) -> [f32; 3] {
        point.try_into().unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "code, part.number")]
struct Item {
    code: Code,
    part: Part,
    #[record(with = UuidBytes)]
    uuid: Uuid,
    #[record(with = Millis)]
    seen: Option<SystemTime>,
    #[record(with = Shared, name = "label")]
    text: Arc<str>,
    #[record(skip)]
    cached: Option<Box<Item>>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Part {
    number: Number,
    #[record(with = Point)]
    at: [f32; 3],
    weights: BTreeMap<Code, Weight>,
    numbers: BTreeSet<Number>,
}

fn item(number: u32) -> Item {
    let weights = [(Code("a".into()), Weight(0.5)), (Code("b".into()), Weight(f64::INFINITY))].into();
    let part = Part { number: Number(number), at: [1.0, 2.0, number as f32], weights, numbers: [Number(7)].into() };
    Item {
        code: Code(format!("c{number}")),
        part,
        uuid: Uuid([number as u8; 16]),
        seen: (number > 1).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)),
        text: "shared".into(),
        cached: None,
    }
}

#[test]
fn types_of_other_crates_are_kept_by_adapters_and_newtypes_by_themselves() {
    run(async {
        let builder = Producer::builder("memory://foreign").with::<Item>().env(Env::simulated(7));
        let mut producer = builder.open().await.unwrap();
        assert_eq!(
            producer.schema().to_string(),
            "Item (root, key code, part.number)\n    code: String\n    part: Part\n    uuid: Vec<u8>\n    seen: Option<u64>\n    \
             label: String\nPart (component)\n    number: u32\n    at: Vec<f32>\n    weights: BTreeMap<String, f64>\n    \
             numbers: BTreeSet<u32>\n"
        );
        let items = [item(1), Item { cached: Some(Box::new(item(9))), ..item(2) }];
        let fill = async |writer: &mut Writer| Ok(items.iter().try_for_each(|item| writer.add(item))?);
        producer.cycle(fill).await.unwrap();
        assert!(producer.cycle(fill).await.unwrap().committed().is_none(), "equal in place, whatever is skipped");
        let view = producer.view();
        let found = view.get::<Item>(("c2", 2)).unwrap();
        assert_eq!((found.code(), found.seen(), found.part().number()), ("c2", Some(1_500), 2));
        assert_eq!(found.to_owned(), item(2), "what is skipped is the default");
        assert_eq!(found.part().weights().get("a"), Some(0.5));
        assert!(found.part().numbers().contains(7) && found.part().at().iter().eq([1.0, 2.0, 2.0]));
        let shown = serde_json::to_value(view.get::<Item>(("c1", 1)).unwrap()).unwrap();
        let expected = serde_json::json!({
            "code": "c1",
            "part": {
                "number": 1,
                "at": [1.0, 2.0, 1.0],
                "weights": { "a": 0.5, "b": "Infinity" },
                "numbers": [7],
            },
            "uuid": "01010101010101010101010101010101",
            "seen": null,
            "label": "shared",
        });
        assert_eq!(shown, expected);
    });
}

/// A reader is written with what the program declares, though the dataset has more.
#[test]
fn typed_readers_are_serialized_as_they_are_declared() {
    #[derive(Record)]
    #[record(key = "id", name = "Movie")]
    struct Less {
        id: u64,
        cast: Vec<LessActor>,
    }
    #[derive(Record)]
    #[record(name = "Actor")]
    struct LessActor {
        name: String,
    }
    run(async {
        let mut full = producer("foreign-declared").open().await.unwrap();
        let actor = Actor { name: "Ann".into(), agency: Some(Agency { city: "Delft".into() }) };
        full.update(|changes| Ok(changes.upsert(&Movie { cast: vec![actor], ..movie(1) })?)).await.unwrap();
        let view = full.view();
        let shown = serde_json::to_value(view.get::<Movie>(1).unwrap()).unwrap();
        assert_eq!(
            (&shown["cast"][0]["agency"]["city"], &shown["rating"]),
            (&"Delft".into(), &serde_json::Value::Null)
        );
        let declared = cenote_state::record::Registry::new().with::<Less>().finish().unwrap();
        let binding = cenote_state::record::Binding::new(&declared, view.schema()).unwrap();
        let less = cenote_producer::View::new(view.state().clone(), std::sync::Arc::new(binding), view.committed_at());
        let shown = serde_json::to_string(&less.get::<Less>(1).unwrap()).unwrap();
        assert_eq!(shown, r#"{"id":1,"cast":[{"name":"Ann"}]}"#);
    });
}

#[test]
fn a_report_has_the_tags_of_its_version() {
    run(async {
        let mut producer = producer("foreign-tags").open().await.unwrap();
        let tagged = producer.cycle(async |writer| {
            writer.tag("release", "8.1.9");
            Ok(writer.add(&movie(1))?)
        });
        assert_eq!(tagged.await.unwrap().committed().unwrap().tags["release"], "8.1.9");
        let tagged = producer.update(|changes| {
            changes.tag("ticket", "4711");
            Ok(changes.upsert(&movie(2))?)
        });
        assert_eq!(tagged.await.unwrap().cycled.committed().unwrap().tags["ticket"], "4711");
    });
}
