//! Keys of every form: what is found by the key of a row must be what the table finds by the key of a record.

use super::*;
use cenote_producer::Cycled;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
enum Kind {
    Shop,
    Bar,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Address {
    zip: String,
    street: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "address.zip")]
struct House {
    address: Address,
    note: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "kind, house, floor, address.zip")]
struct Flat {
    kind: Kind,
    house: Key<House>,
    floor: i8,
    address: Address,
    note: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "flat")]
struct Lease {
    flat: Key<Flat>,
    note: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "kind")]
struct Rule {
    kind: Kind,
    note: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "raw")]
struct Raw {
    raw: Vec<u8>,
    note: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "name")]
struct Town {
    #[record(dedup)]
    name: String,
    note: String,
}

fn builder(name: &str) -> ProducerBuilder {
    Producer::builder(format!("memory://{name}"))
        .with::<House>()
        .with::<Flat>()
        .with::<Lease>()
        .with::<Rule>()
        .with::<Raw>()
        .with::<Town>()
        .env(Env::simulated(7))
}

fn address(number: u32) -> Address {
    Address { zip: format!("{number:04}"), street: format!("street {}", number % 3) }
}

fn house(number: u32, note: &str) -> House {
    House { address: address(number), note: note.into() }
}

fn flat(number: u32, note: &str) -> Flat {
    let kind = if number.is_multiple_of(2) { Kind::Shop } else { Kind::Bar };
    let house = Key::new(format!("{number:04}").as_str());
    Flat { kind, house, floor: -(number as i8 % 5), address: address(number), note: note.into() }
}

fn fill(writer: &mut Writer, note: &str) -> Result<(), BoxError> {
    for number in 0..40 {
        let flat = flat(number, note);
        writer.add(&house(number, note))?;
        writer.add(&flat)?;
        writer.add(&Lease { flat: Key::of(&flat), note: note.into() })?;
        writer.add(&Raw { raw: vec![number as u8; number as usize], note: note.into() })?;
        writer.add(&Town { name: format!("town {number}"), note: note.into() })?;
    }
    for kind in [Kind::Shop, Kind::Bar] {
        writer.add(&Rule { kind, note: note.into() })?;
    }
    Ok(())
}

#[test]
fn records_are_found_by_keys_of_every_form() {
    run(async {
        let mut producer = builder("keys-forms").open().await.unwrap();
        producer.cycle(async |writer| fill(writer, "one")).await.unwrap();
        producer.check_invariants();
        let again = producer.cycle(async |writer| fill(writer, "one")).await.unwrap();
        assert!(matches!(again, Cycled::Unchanged(_)), "each is found by its key");
        let changed = producer.cycle(async |writer| fill(writer, "two")).await.unwrap();
        let report = changed.committed().unwrap();
        for of_type in report.types.iter().filter(|of_type| of_type.is_root) {
            let (changed, others) = (of_type.changed, of_type.added + of_type.removed);
            assert_eq!((changed, others), (if of_type.name == "Rule" { 2 } else { 40 }, 0), "{}", of_type.name);
        }
        producer.check_invariants();
        producer
            .update(|changes| {
                assert!(changes.delete::<House>("0007")?);
                assert!(changes.delete::<Rule>(Kind::Bar)?);
                assert!(changes.delete::<Raw>(&[3, 3, 3])?);
                assert!(changes.delete::<Town>("town 5")?);
                assert!(!changes.delete::<Town>("town 5")?, "it is deleted already");
                assert!(!changes.delete::<Town>("elsewhere")?);
                Ok(())
            })
            .await
            .unwrap();
        producer.check_invariants();
        assert_eq!(producer.view().len::<Town>(), 39);
    });
}

/// A key through a component can stay the same though the component is another one: the record moves.
#[test]
fn a_component_may_change_under_its_key() {
    run(async {
        let mut producer = builder("keys-moves").open().await.unwrap();
        producer.cycle(async |writer| fill(writer, "one")).await.unwrap();
        let renamed = House { address: Address { zip: "0007".into(), street: "elsewhere".into() }, note: "one".into() };
        producer.update(|changes| Ok(changes.upsert(&renamed)?)).await.unwrap();
        producer.check_invariants();
        assert_eq!(producer.view().len::<House>(), 40);
        assert_eq!(producer.view().get::<House>("0007").unwrap().to_owned(), renamed);
    });
}

#[test]
fn keys_that_come_twice_are_shown_as_written() {
    run(async {
        let mut producer = builder("keys-shown").open().await.unwrap();
        let twice = async |writer: &mut Writer| {
            writer.add(&flat(3, "one"))?;
            Ok(writer.add(&flat(3, "two"))?)
        };
        let error = producer.cycle(twice).await.unwrap_err();
        assert_eq!(error.duplicate_keys().unwrap().types[0].first, ["Bar, 0003, -3, 0003"]);
    });
}

/// The key leads through a component: another component with the same key part gives the record another ordinal, and is no
/// other record.
#[test]
fn a_changed_component_in_the_key_is_a_change_in_the_report_and_the_diff() {
    #[derive(Clone, Record)]
    #[record(key = "home.zip")]
    struct House {
        home: Home,
    }
    #[derive(Clone, Record)]
    struct Home {
        zip: String,
        color: String,
    }
    run(async {
        let builder = Producer::builder("memory://keys-moved").with::<House>().env(Env::simulated(7));
        let mut producer = builder.open().await.unwrap();
        let house = |zip: &str, color: &str| House { home: Home { zip: zip.into(), color: color.into() } };
        let houses = |second: House| {
            let all = [house("a", "red"), second];
            async move |writer: &mut Writer| Ok(all.iter().try_for_each(|house| writer.add(house))?)
        };
        producer.cycle(houses(house("b", "red"))).await.unwrap();
        let before = producer.view();
        let cycled = producer.cycle(houses(house("b", "blue"))).await.unwrap();
        let report = cycled.committed().unwrap().of_type("House").unwrap();
        assert_eq!((report.added, report.changed, report.removed), (0, 1, 0));
        let after = producer.view();
        let diff = after.diff::<House>(&before);
        assert_eq!((diff.added.len(), diff.updated.len(), diff.removed.len()), (0, 1, 0));
        producer.check_invariants();
    });
}
