//! Rows made by hand whose cells are not canonical: each is refused before it reaches the dataset.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::KeyValue;
use cenote_state::row::Row;
use cenote_state::schema::Schema;

use super::*;

/// A component with a number in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Part {
    number: u32,
}

/// Every container whose elements have an order.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Bag {
    id: u64,
    numbers: BTreeSet<u32>,
    signed: BTreeSet<i32>,
    names: BTreeSet<String>,
    parts: BTreeSet<Part>,
    by_number: BTreeMap<u32, String>,
    by_name: BTreeMap<String, Part>,
    part: Part,
}

fn bag(name: &str) -> ProducerBuilder {
    Producer::builder(format!("memory://{name}")).with::<Bag>().env(Env::simulated(7))
}

/// The canonical bytes of a container: its count, then its parts.
fn many(parts: &[&[u8]], count: u32) -> Vec<u8> {
    let mut bytes = count.to_le_bytes().to_vec();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn scalars(numbers: &[i64]) -> Vec<u8> {
    let bytes: Vec<_> = numbers.iter().map(|number| number.to_le_bytes()).collect();
    many(&bytes.iter().map(<[u8; 8]>::as_slice).collect::<Vec<_>>(), numbers.len() as u32)
}

fn ordinals(numbers: &[u32]) -> Vec<u8> {
    let bytes: Vec<_> = numbers.iter().map(|number| number.to_le_bytes()).collect();
    many(&bytes.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>(), numbers.len() as u32)
}

fn sized(text: &str) -> Vec<u8> {
    many(&[text.as_bytes()], text.len() as u32)
}

fn texts(texts: &[&str]) -> Vec<u8> {
    let bytes: Vec<_> = texts.iter().map(|text| sized(text)).collect();
    many(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>(), texts.len() as u32)
}

fn entries(entries: &[(u64, &str)]) -> Vec<u8> {
    let bytes: Vec<_> =
        entries.iter().map(|(key, value)| [key.to_le_bytes().to_vec(), sized(value)].concat()).collect();
    many(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>(), entries.len() as u32)
}

fn named(entries: &[(&str, u32)]) -> Vec<u8> {
    let bytes: Vec<_> =
        entries.iter().map(|(key, value)| [sized(key), value.to_le_bytes().to_vec()].concat()).collect();
    many(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>(), entries.len() as u32)
}

fn row(cells: &[Vec<u8>]) -> Row {
    let mut row = Row::new(cells.len());
    for (column, cell) in cells.iter().enumerate() {
        row.set(column, |out| out.extend_from_slice(cell));
    }
    row
}

fn types(schema: &Schema) -> (TypeId, TypeId) {
    (schema.find("Bag").unwrap(), schema.find("Part").unwrap())
}

fn part_row(number: i64) -> Row {
    row(&[number.to_le_bytes().to_vec()])
}

/// The cells of a bag whose parts have the ordinals `first` and `second`, ascending.
fn cells([first, second]: [u32; 2]) -> Vec<Vec<u8>> {
    vec![
        7_u64.to_le_bytes().to_vec(),
        scalars(&[3, 9]),
        scalars(&[-9, 3]),
        texts(&["a", "b"]),
        ordinals(&[first, second]),
        entries(&[(3, "c"), (9, "i")]),
        named(&[("a", first), ("b", second)]),
        first.to_le_bytes().to_vec(),
    ]
}

/// A field, a cell for it that is not canonical, and what the error says of it.
fn refused([first, second]: [u32; 2]) -> Vec<(usize, Vec<u8>, &'static str)> {
    let unsorted = "Bag.numbers is not sorted by value, or holds a value twice";
    let in_names = "Bag.by_name is not sorted by value, or holds a value twice";
    let in_map = "Bag.by_number is not sorted by value, or holds a value twice";
    vec![
        (1, scalars(&[9, 3]), unsorted),
        (1, scalars(&[3, 3]), unsorted),
        (2, scalars(&[3, -9]), "Bag.signed is not sorted by value, or holds a value twice"),
        (3, texts(&["b", "a"]), "Bag.names is not sorted by value, or holds a value twice"),
        (3, texts(&["a", "a"]), "Bag.names is not sorted by value, or holds a value twice"),
        (4, ordinals(&[second, first]), "Bag.parts is not sorted by value, or holds a value twice"),
        (4, ordinals(&[first, first]), "Bag.parts is not sorted by value, or holds a value twice"),
        (5, entries(&[(9, "i"), (3, "c")]), in_map),
        (5, entries(&[(3, "c"), (3, "d")]), in_map),
        (6, named(&[("b", first), ("a", second)]), in_names),
        (6, named(&[("a", first), ("a", second)]), in_names),
        (4, ordinals(&[first, 1_000_000]), "Bag.parts refers to Part 1000000, which does not exist"),
        (6, named(&[("a", u32::MAX)]), "Bag.by_name refers to Part 4294967295, which does not exist"),
        (7, 1_000_000_u32.to_le_bytes().to_vec(), "Bag.part refers to Part 1000000, which does not exist"),
        (1, many(&[&9_u64.to_le_bytes()], 2), "the bytes of Bag.numbers are not those of a BTreeSet<u32>"),
        (1, many(&[&9_u64.to_le_bytes(), &[0]], 1), "the bytes of Bag.numbers are not those of a BTreeSet<u32>"),
        (1, scalars(&[1 << 32]), "the bytes of Bag.numbers are not those of a BTreeSet<u32>"),
        (3, many(&[&u32::MAX.to_le_bytes()], 1), "the bytes of Bag.names are not those of a BTreeSet<String>"),
    ]
}

/// `Set::contains` and `Map::get` search by halves: a set of 9 and 3 would not find its 9.
#[test]
fn sets_and_maps_by_hand_are_sorted_and_hold_nothing_twice() {
    run(async {
        let mut producer = bag("cells-order").open().await.unwrap();
        let (bag_id, part_id) = types(producer.schema());
        let added = producer.cycle(async |writer| {
            let parts = [1, 2].map(|number| writer.intern_row(part_id, &part_row(number)).unwrap().0);
            for (field, cell, message) in refused(parts) {
                let mut cells = cells(parts);
                cells[field] = cell;
                let error = writer.add_row(bag_id, &row(&cells)).unwrap_err().to_string();
                assert!(error.contains(message), "{error}");
            }
            Ok(writer.add_row(bag_id, &row(&cells(parts)))?)
        });
        added.await.unwrap();
        let view = producer.view();
        let bag = view.get::<Bag>(7).unwrap();
        assert!([3, 9].iter().all(|number| bag.numbers().contains(*number)));
        assert!([-9, 3].iter().all(|number| bag.signed().contains(*number)));
        assert!(["a", "b"].iter().all(|name| bag.names().contains(name)));
        assert_eq!(["c", "i"], [3, 9].map(|key| bag.by_number().get(key).unwrap()));
        assert_eq!([1, 2], ["a", "b"].map(|key| bag.by_name().get(key).unwrap().number()));
        drop(view);
        // The same in an update, where the parts are the committed ones.
        let parts = [0, 1];
        for (field, cell, message) in refused(parts) {
            let mut cells = cells(parts);
            cells[field] = cell;
            let updated = producer.update(|changes| Ok(changes.upsert_row(bag_id, &row(&cells))?));
            let error = updated.await.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        producer.check_invariants();
    });
}

/// Ordinals of this cycle's new components end where these do.
#[test]
fn references_by_hand_lead_to_components_of_the_cycle() {
    run(async {
        let mut producer = bag("cells-references").open().await.unwrap();
        let (bag_id, part_id) = types(producer.schema());
        let first = producer.cycle(async |writer| {
            let first = writer.intern_row(part_id, &part_row(1))?.0;
            let error = writer.add_row(bag_id, &row(&cells([first, first + 1]))).unwrap_err().to_string();
            assert!(error.contains("which does not exist"), "{error}");
            let second = writer.intern_row(part_id, &part_row(2))?.0;
            Ok(writer.add_row(bag_id, &row(&cells([first, second])))?)
        });
        first.await.unwrap();
        // A part that was freed is not one to refer to, though its row may still be there.
        producer.update(|changes| Ok(changes.delete::<Bag>(7).map(drop)?)).await.unwrap();
        let updated = producer.update(|changes| Ok(changes.upsert_row(bag_id, &row(&cells([0, 1])))?));
        let error = updated.await.unwrap_err().to_string();
        assert!(error.contains("refers to Part 0, which does not exist"), "{error}");
        producer.check_invariants();
    });
}

/// A component's row is checked as a root's is.
#[test]
fn components_by_hand_are_checked() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
    struct Inner {
        numbers: BTreeSet<u32>,
        part: Part,
    }
    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "inner.part.number")]
    struct Outer {
        inner: Inner,
    }
    run(async {
        let builder = Producer::builder("memory://cells-components").with::<Outer>().env(Env::simulated(7));
        let mut producer = builder.open().await.unwrap();
        let find = |producer: &Producer, name| producer.schema().find(name).unwrap();
        let (outer, inner, part) = (find(&producer, "Outer"), find(&producer, "Inner"), find(&producer, "Part"));
        let filled = producer.cycle(async |writer| {
            let part = writer.intern_row(part, &part_row(5))?;
            let reference = |ordinal: Ordinal| ordinal.0.to_le_bytes().to_vec();
            for (numbers, ordinal) in [(vec![9, 3], part), (vec![3, 3], part), (vec![3], Ordinal(part.0 + 1))] {
                let error = writer.intern_row(inner, &row(&[scalars(&numbers), reference(ordinal)]));
                assert!(error.unwrap_err().to_string().starts_with("Inner."));
            }
            let inner = writer.intern_row(inner, &row(&[scalars(&[3, 9]), reference(part)]))?;
            // The key leads through both references: one that leads nowhere must not be followed.
            let error = writer.add_row(outer, &row(&[reference(Ordinal(inner.0 + 1))])).unwrap_err().to_string();
            assert_eq!(error, format!("Outer.inner refers to Inner {}, which does not exist; intern its row first and use the ordinal returned", inner.0 + 1));
            Ok(writer.add_row(outer, &row(&[reference(inner)]))?)
        });
        filled.await.unwrap();
        assert!(producer.view().get::<Outer>(5).is_some());
        assert!(
            u32::with(5, |key| producer.view().state().table(outer).find(key, producer.view().state().tables()))
                .is_some()
        );
    });
}
