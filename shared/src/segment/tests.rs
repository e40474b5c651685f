use proptest::prelude::*;

use super::*;
use crate::ids::{ColumnId, TypeId};
use crate::row::Row;
use crate::schema::{Field, Schema, Shape, TypeKind, TypeSchema, ValueKind};

fn field(index: usize, shape: Shape, sparse: bool) -> Field {
    Field { name: format!("f{index}"), column: ColumnId(index as u16), optional: sparse, sparse, shape, encoding: 0 }
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

/// Canonical bytes of one element; with a length before it where it has none of its own.
fn element(kind: &ValueKind, framed: bool) -> BoxedStrategy<Vec<u8>> {
    let frame = move |bytes: Vec<u8>| {
        let mut out = if framed { (bytes.len() as u32).to_le_bytes().to_vec() } else { Vec::new() };
        out.extend(bytes);
        out
    };
    let number = prop_oneof![any::<u64>(), 0..300_u64, Just(i64::MIN as u64), Just(u64::MAX)];
    match kind {
        ValueKind::F32 => any::<u32>().prop_map(|bits| bits.to_le_bytes().to_vec()).boxed(),
        ValueKind::String => ".{0,12}".prop_map(move |text| frame(text.into_bytes())).boxed(),
        ValueKind::Bytes => proptest::collection::vec(any::<u8>(), 0..12).prop_map(frame).boxed(),
        _ => number.prop_map(|image| image.to_le_bytes().to_vec()).boxed(),
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
        }
    }
}

fn built(layout: &Layout, rows: &[Option<Cells>]) -> Segment {
    let mut builder = SegmentBuilder::new(layout);
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
        let decoded = decode(&layout, &bytes, 256, &|_| 0).unwrap();
        check(&decoded, &layout, &rows);
        let mut again = Vec::new();
        encode(&layout, &decoded, &mut again);
        prop_assert_eq!(&bytes, &again);

        let mut patched = decoded;
        for (at, cells) in &changes {
            let Some(Some(row)) = rows.get_mut(*at) else { continue };
            // Every second cell changes.
            let patches: Vec<_> = cells.iter().enumerate().step_by(2)
                .map(|(column, cell)| CellPatch { row: *at as u32, column, cell: cell.as_deref() }).collect();
            patched = patched.patched(&layout, &patches, 8);
            cells.iter().enumerate().step_by(2).for_each(|(column, cell)| row[column] = cell.clone());
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
        if let Ok(segment) = decode(&layout, &bytes, 256, &|_| 0) {
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
    assert_eq!(segment.stride, 0);
    check(&segment, &layout, &vec![Some(vec![Some(vec![255; 8]), Some(Vec::new())]); 100]);
}
