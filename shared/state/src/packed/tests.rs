use proptest::prelude::*;

use super::*;

fn table() -> SymbolTable {
    let words = ["the ", "clear ", "pool ", "in ", "limestone ", "größe ", "水 ", "\0\0"];
    let texts: Vec<String> =
        (0..400).map(|seed| (0..30).map(|word| words[(seed * 7 + word * word / 3) % words.len()]).collect()).collect();
    SymbolTable::train(&texts.iter().map(String::as_bytes).collect::<Vec<_>>()).expect("it is enough text")
}

fn texts() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(vec!["the clear ", "pool", "größe 水", "\0", "\0a", "é", ""]);
    let parts = prop_oneof![words.prop_map(str::to_owned), ".{0,12}", "[a-z ]{0,40}"];
    proptest::collection::vec(parts, 0..60).prop_map(|parts| parts.concat())
}

fn packed<'t>(table: &SymbolTable, text: &str, out: &'t mut Vec<u8>) -> &'t [u8] {
    table.pack(text.as_bytes(), out);
    out
}

proptest! {
    /// Every text survives, whether the table knows its like or not, and is what it was to every question.
    #[test]
    fn texts_survive(left in texts(), right in texts(), prefix in any::<proptest::sample::Index>()) {
        let table = table();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let (packed_left, packed_right) = (packed(&table, &left, &mut one), packed(&table, &right, &mut two));
        prop_assert_eq!(table.checked_len(packed_left), Some(left.len()));
        let (text, other) = (Text::packed(packed_left, &table), Text::packed(packed_right, &table));
        prop_assert_eq!(String::from(text), left.clone());
        prop_assert_eq!(text.to_string(), left.clone());
        prop_assert_eq!(format!("{text:?}"), format!("{left:?}"));
        prop_assert_eq!(format!("{text:>9.4}"), format!("{left:>9.4}"));
        prop_assert_eq!(serde_json::to_string(&text).unwrap(), serde_json::to_string(&left).unwrap());
        let mut written = Vec::new();
        text.write_to(&mut written).unwrap();
        prop_assert_eq!(written, left.as_bytes());
        prop_assert_eq!((text.len(), text.is_empty()), (left.len(), left.is_empty()));
        prop_assert_eq!(text.cmp(&other), left.cmp(&right));
        prop_assert_eq!(text.partial_cmp(right.as_str()), Some(left.as_str().cmp(right.as_str())));
        prop_assert_eq!(text.cmp(&Text::from(right.as_str())), left.cmp(&right));
        prop_assert_eq!(Text::from(left.as_str()).cmp(&other), left.cmp(&right));
        prop_assert_eq!((text == other, text == right, text == *right), (left == right, left == right, left == right));
        let boundary = (0..=prefix.index(left.len() + 1)).rev().find(|at| left.is_char_boundary(*at)).unwrap();
        prop_assert_eq!(text == left[..boundary], boundary == left.len());
        prop_assert!([text == left, text == *left.as_str(), left == text, Text::from(left.as_str()) == text] == [true; 4]);
    }

    /// Any bytes under any table: refused, or unpacked to as many bytes as were counted, at most eight times as many (I9).
    #[test]
    fn any_bytes_are_refused_or_read(lengths in proptest::collection::vec(0..10_u8, 0..260), symbols in proptest::collection::vec(any::<u8>(), 0..2_000), packed in proptest::collection::vec(any::<u8>(), 0..300)) {
        let wanted: usize = lengths.iter().map(|length| usize::from(*length)).sum();
        let bytes: Vec<u8> = symbols.iter().copied().cycle().take(if symbols.is_empty() { 0 } else { wanted }).collect();
        let sound: Vec<u8> = lengths.iter().map(|length| length % 8 + 1).take(255).collect();
        let enough: Vec<u8> = (0..sound.iter().map(|length| usize::from(*length)).sum()).map(|at| at as u8).collect();
        for (lengths, bytes) in [(&lengths, &bytes), (&sound, &enough)] {
            let Ok(table) = SymbolTable::new(lengths, bytes) else { continue };
            prop_assert_eq!(table.to_parts(), (lengths.clone(), bytes.clone()));
            let mut out = Vec::new();
            table.unpack(&packed, &mut out);
            prop_assert!(out.len() <= packed.len() * 8);
            if let Some(len) = table.checked_len(&packed) {
                prop_assert_eq!(out.len(), len);
            }
            // A producer that writes by a table from outside gets back what was written.
            let (mut again, mut back) = (Vec::new(), Vec::new());
            table.pack(&packed, &mut again);
            prop_assert_eq!(table.checked_len(&again), Some(packed.len()));
            table.unpack(&again, &mut back);
            prop_assert_eq!(&back, &packed);
        }
    }
}

#[test]
fn text_of_a_kind_halves() {
    let table = table();
    assert_eq!(table, self::table(), "the same sample gives the same table (I12)");
    let text = "the clear pool in the limestone ".repeat(20);
    let mut out = Vec::new();
    assert!(packed(&table, &text, &mut out).len() * 2 < text.len());
    assert!(SymbolTable::train(&[]).is_none(), "there is nothing to find in nothing");
}

#[test]
fn tables_are_numbered_and_limited() {
    let mut symbols = Symbols::default();
    assert!(symbols.get(0).is_none() && symbols.get(1).is_none() && symbols.newest(ColumnId(3)).is_none());
    for number in 1..=TABLES_MAX as u64 {
        assert!(symbols.push(ColumnId(3 + number as u16 % 2), table()));
        assert_eq!(symbols.newest(ColumnId(3 + number as u16 % 2)).map(|(number, _)| number), Some(number));
    }
    assert!(!symbols.push(ColumnId(3), table()) && symbols.len() == TABLES_MAX);
    assert!(symbols.get(0).is_none() && symbols.get(255).is_some() && symbols.get(u64::MAX).is_none());
}
