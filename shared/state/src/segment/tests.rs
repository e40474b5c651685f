use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::ids::{ColumnId, TypeId};
use crate::layout::Form;
use crate::packed::{SymbolTable, Symbols};
use crate::row::Row;
use crate::schema::{Field, PACKED, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};

/// A string is packed in every second field; each second of these has a table for its text.
fn field(index: usize, shape: Shape, sparse: bool) -> Field {
    let encoding = if index % 2 == 1 && shape == Shape::One(ValueKind::String) { PACKED } else { PLAIN };
    Field { name: format!("f{index}"), column: ColumnId(index as u16), optional: sparse, sparse, shape, encoding }
}

fn symbols() -> Arc<Symbols> {
    static SYMBOLS: OnceLock<Arc<Symbols>> = OnceLock::new();
    Arc::clone(SYMBOLS.get_or_init(found_symbols))
}

fn found_symbols() -> Arc<Symbols> {
    let mut symbols = Symbols::default();
    let words: Vec<String> = (0..3_000).map(|number| format!("pool {} größe", number % 70)).collect();
    for column in (1..20).step_by(4).map(ColumnId) {
        let sample: Vec<&[u8]> = words.iter().skip(usize::from(column.0)).map(String::as_bytes).collect();
        assert!(symbols.push(column, SymbolTable::train(&sample).expect("it is enough text")));
    }
    Arc::new(symbols)
}

fn schema(shapes: &[(Shape, bool)]) -> Schema {
    let fields =
        shapes.iter().enumerate().map(|(index, (shape, sparse))| field(index, shape.clone(), *sparse)).collect();
    let kind = TypeKind::Component;
    Schema { types: vec![TypeSchema { name: "T".into(), kind, fields, next_column: 99, segment_rows_log2: 8 }] }
}

fn kinds() -> Vec<ValueKind> {
    vec![
        ValueKind::Bool,
        ValueKind::Int(8),
        ValueKind::UInt(8),
        ValueKind::F32,
        ValueKind::F64,
        ValueKind::String,
        ValueKind::Bytes,
    ]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let kind = || proptest::sample::select(kinds());
    prop_oneof![
        3 => kind().prop_map(Shape::One),
        2 => kind().prop_map(Shape::List),
        1 => kind().prop_map(Shape::Set),
        1 => (kind(), kind()).prop_map(|(key, value)| Shape::Map(key, value)),
    ]
}

/// Canonical bytes of one element; with a length before it if its kind has no length.
fn element(kind: &ValueKind, framed: bool) -> BoxedStrategy<Vec<u8>> {
    let frame = move |bytes: Vec<u8>| {
        let mut out = if framed { (bytes.len() as u32).to_le_bytes().to_vec() } else { Vec::new() };
        out.extend(bytes);
        out
    };
    let number = prop_oneof![any::<u64>(), 0..300_u64, Just(i64::MIN as u64), Just(u64::MAX)];
    match kind {
        ValueKind::F32 => any::<u32>().prop_map(|bits| bits.to_le_bytes().to_vec()).boxed(),
        ValueKind::String => {
            let like_others = (0..90_u32).prop_map(|number| format!("pool {number} größe").repeat(number as usize % 3));
            prop_oneof![".{0,12}", like_others].prop_map(move |text| frame(text.into_bytes())).boxed()
        }
        ValueKind::Bytes => proptest::collection::vec(any::<u8>(), 0..12).prop_map(frame).boxed(),
        _ => number.prop_map(|scalar| scalar.to_le_bytes().to_vec()).boxed(),
    }
}

fn elements(kinds: Vec<ValueKind>) -> BoxedStrategy<Vec<u8>> {
    let one = kinds.iter().map(|kind| element(kind, true)).collect::<Vec<_>>();
    proptest::collection::vec(one, 0..6)
        .prop_map(|entries| {
            let mut out = (entries.len() as u32).to_le_bytes().to_vec();
            entries.into_iter().flatten().for_each(|bytes| out.extend(bytes));
            out
        })
        .boxed()
}

fn cell(shape: &Shape, sparse: bool) -> BoxedStrategy<Option<Vec<u8>>> {
    let value = match shape {
        Shape::One(kind) => element(kind, false),
        Shape::List(kind) | Shape::Set(kind) => elements(vec![kind.clone()]),
        Shape::Map(key, value) => elements(vec![key.clone(), value.clone()]),
    };
    if sparse { proptest::option::of(value).boxed() } else { value.prop_map(Some).boxed() }
}

type Cells = Vec<Option<Vec<u8>>>;

/// The fields of a type, each sparse or not; rows for it, some of them dead; cells that change.
type Case = (Vec<(Shape, bool)>, Vec<Option<Cells>>, Vec<(usize, Cells)>);

fn case() -> impl Strategy<Value = Case> {
    proptest::collection::vec((any_shape(), any::<bool>()), 1..12).prop_flat_map(|shapes| {
        let row = || shapes.iter().map(|(shape, sparse)| cell(shape, *sparse)).collect::<Vec<_>>();
        let rows = proptest::collection::vec(proptest::option::weighted(0.9, row()), 1..20);
        let changes = proptest::collection::vec((0..20_usize, row()), 0..6);
        (Just(shapes), rows, changes)
    })
}

fn row_of(cells: &Cells) -> Row {
    let mut row = Row::new(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        if let Some(bytes) = cell {
            row.set(index, |out| out.extend_from_slice(bytes));
        }
    }
    row
}

fn check(segment: &Segment, layout: &Layout, rows: &[Option<Cells>]) {
    for (index, cells) in rows.iter().enumerate() {
        let Some(cells) = cells else { continue };
        let row = segment.row(layout, index as u32).expect("the row was pushed");
        for (column, cell) in cells.iter().enumerate() {
            let mut found = Vec::new();
            let present = row.cell(column).canonical(&mut found);
            assert_eq!(present.then_some(&found), cell.as_ref(), "row {index} column {column}");
            for other in rows.iter().flatten().map(|cells| cells[column].as_deref()) {
                let is_same = row.cell(column).is_canonical(other, &mut found);
                assert_eq!(is_same, cell.as_deref() == other, "row {index} column {column} and {other:?}");
            }
        }
    }
}

fn built(layout: &Layout, rows: &[Option<Cells>]) -> Segment {
    let mut builder = SegmentBuilder::new(layout, Some(&symbols()));
    for row in rows {
        match row {
            Some(cells) => builder.push(&row_of(cells)),
            None => builder.push_dead(),
        }
    }
    builder.finish(7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every value survives building, encoding, decoding and patching; equal rows give equal bytes (I12).
    #[test]
    fn rows_survive((shapes, mut rows, changes) in case()) {
        let schema = schema(&shapes);
        let layout = Layout::new(&schema, TypeId(0)).unwrap();
        let segment = built(&layout, &rows);
        check(&segment, &layout, &rows);

        let mut bytes = Vec::new();
        encode(&layout, &segment, &mut bytes);
        let decoded = decode(&layout, &bytes, 256, &|_| 0, Some(&symbols())).unwrap();
        check(&decoded, &layout, &rows);
        let mut again = Vec::new();
        encode(&layout, &decoded, &mut again);
        prop_assert_eq!(&bytes, &again);

        let mut patched = decoded;
        for (at, cells) in &changes {
            let Some(Some(row)) = rows.get_mut(*at) else { continue };
            // Every second cell changes, or the numbers alone, which is a separate route; as in a delta, the new ones are
            // in a segment of these columns.
            let is_number = |field: &usize| matches!(layout.columns[*field].form, Form::Scalar { .. });
            let fields: Vec<usize> = match at % 3 {
                2 => (0..cells.len()).filter(is_number).collect(),
                first => (first..cells.len()).step_by(2).collect(),
            };
            let of_fields = Layout::of_fields(&schema, TypeId(0), &fields).unwrap();
            let new = built(&of_fields, &[Some(fields.iter().map(|field| cells[*field].clone()).collect())]);
            let new = new.row(&of_fields, 0).unwrap();
            let patches: Vec<_> = fields.iter().enumerate()
                .map(|(place, column)| CellPatch { row: *at as u32, column: *column, cell: new.cell(place) }).collect();
            patched = patched.patched(&layout, &patches, Some(&symbols()), 8);
            fields.iter().for_each(|column| row[*column] = cells[*column].clone());
        }
        check(&patched, &layout, &rows);
    }

    /// Mutated bytes are refused or read without a panic (I9).
    #[test]
    fn damage_never_panics((shapes, rows, _) in case(), hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)) {
        let schema = schema(&shapes);
        let layout = Layout::new(&schema, TypeId(0)).unwrap();
        let mut bytes = Vec::new();
        encode(&layout, &built(&layout, &rows), &mut bytes);
        for (at, value) in hits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(segment) = decode(&layout, &bytes, 256, &|_| 0, Some(&symbols())) {
            for row in 0..segment.rows() {
                let row = segment.row(&layout, row).unwrap();
                (0..row.columns()).for_each(|column| { row.cell(column).canonical(&mut Vec::new()); });
            }
        }
    }
}

#[test]
fn a_constant_column_costs_nothing() {
    let shapes = [(Shape::One(ValueKind::UInt(8)), false), (Shape::One(ValueKind::String), true)];
    let schema = schema(&shapes);
    let layout = Layout::new(&schema, TypeId(0)).unwrap();
    let cells: Cells = vec![Some(u64::MAX.to_le_bytes().to_vec()), Some(Vec::new())];
    let segment = built(&layout, &vec![Some(cells); 100]);
    assert_eq!(segment.fixed.stride(), 0);
    check(&segment, &layout, &vec![Some(vec![Some(vec![255; 8]), Some(Vec::new())]); 100]);
}

/// Random cases seldom get here: all cells of a patch must be numbers in place of numbers.
#[test]
fn a_number_that_does_not_fit_gets_another_base_and_width() {
    let kinds = [ValueKind::String, ValueKind::Int(8), ValueKind::UInt(2)];
    let schema = schema(&kinds.map(|kind| (Shape::One(kind), false)));
    let layout = Layout::new(&schema, TypeId(0)).unwrap();
    let of_number = Layout::of_fields(&schema, TypeId(0), &[1]).unwrap();
    let number = |number: i64| Some(number.to_le_bytes().to_vec());
    let row = |text: &str, at: i64| Some(vec![Some(text.as_bytes().to_vec()), number(100 + at), number(7 * at)]);
    let mut rows = vec![row("a", 0), row("größe", 1), row("", 2)];
    let segment = built(&layout, &rows);
    for value in [101, 99, -5, 100_000, i64::MIN, i64::MAX] {
        let new = built(&of_number, &[Some(vec![number(value)])]);
        let cell = new.row(&of_number, 0).unwrap().cell(0);
        let patched = segment.patched(&layout, &[CellPatch { row: 1, column: 1, cell }], None, 8);
        rows[1].as_mut().expect("it is a record")[1] = number(value);
        check(&patched, &layout, &rows);
        assert!(Arc::ptr_eq(&patched.text, &segment.text), "its heaps are shared");
    }
}

#[test]
fn packed_text_takes_less_and_needs_its_table() {
    let schema = schema(&[(Shape::One(ValueKind::UInt(1)), false), (Shape::One(ValueKind::String), false)]);
    let layout = Layout::new(&schema, TypeId(0)).unwrap();
    let text = "pool 17 größe".repeat(9);
    let rows = vec![Some(vec![Some(vec![1; 8]), Some(text.clone().into_bytes())]); 50];
    let segment = built(&layout, &rows);
    assert!(segment.bytes.len() < 50 * text.len() / 2, "{} bytes", segment.bytes.len());
    assert!(segment.row(&layout, 49).unwrap().cell(1).packed_text() == text);
    let mut bytes = Vec::new();
    encode(&layout, &segment, &mut bytes);
    let refused = |error: SegmentError| {
        assert_eq!(error.to_string(), "row 0 has packed text of column 1 that table 1 does not make text");
    };
    refused(decode(&layout, &bytes, 256, &|_| 0, None).unwrap_err());
    let mut other = Symbols::default();
    assert!(other.push(ColumnId(1), SymbolTable::new(&[8], b"\xFFnotutf8").unwrap()));
    refused(decode(&layout, &bytes, 256, &|_| 0, Some(&Arc::new(other))).unwrap_err());
    // A text of 17 MiB in 2.2 MiB: longer than a record may be, it is refused before it is unpacked.
    let mut long = Symbols::default();
    assert!(long.push(ColumnId(1), SymbolTable::new(&[8], b"eightful").unwrap()));
    let long = Arc::new(long);
    let mut builder = SegmentBuilder::new(&layout, Some(&long));
    builder.push(&row_of(&vec![Some(vec![1; 8]), Some(b"eightful".repeat((17 << 20) / 8))]));
    let mut bytes = Vec::new();
    encode(&layout, &builder.finish(0), &mut bytes);
    refused(decode(&layout, &bytes, 256, &|_| 0, Some(&long)).unwrap_err());
}
