//! Changes of captured rows, as messages: the crate `pg_walstream` decodes pgoutput, this maps columns to fields.
//!
//! Columns are found by name, so that a column that is added later does no harm. A row that comes before the
//! description of its table is an error and not skipped: the message would be lost.

use bytes::Bytes;
use pg_walstream::{EventType, Lsn, PgOutputDecoder, RowData};
use serde::{Deserialize, Deserializer, de::Error};

use crate::Answer;
use crate::domain::{self, Cause, Change, Message, Micros};

/// The version of the protocol that the server is asked for.
const PROTOCOL: u32 = 1;

/// Decodes one stream. It remembers the tables that the server has described.
pub(super) struct Decoder(PgOutputDecoder);

/// A row of the table `product`.
#[derive(Deserialize)]
struct ProductRow {
    id: u64,
    name: String,
    brand: u32,
    category: u32,
    price_cents: u64,
    stock: u32,
    weight_grams: Option<u32>,
    version: u64,
    updated_at: Micros,
}

/// The part of an old row of `product` that shows whether it has become cheaper.
#[derive(Deserialize)]
struct OldPrice {
    price_cents: u64,
}

/// A row of the table `page`.
#[derive(Deserialize)]
struct PageRow {
    id: u64,
    title: String,
    #[serde(deserialize_with = "ids")]
    products: Vec<u64>,
    published: bool,
    version: u64,
    updated_at: Micros,
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        Decoder(PgOutputDecoder::with_protocol_version(PROTOCOL))
    }

    /// The message of an insert or update of `product` or `page`; none for anything else.
    pub(super) fn decode(&mut self, data: Bytes) -> Answer<Option<Message>> {
        let is_row = matches!(data.first(), Some(b'I' | b'U'));
        let Some(event) = self.0.decode_message(data, Lsn::new(0))? else {
            return if is_row {
                Err("a row came before its table's description: the stream is broken".into())
            } else {
                Ok(None)
            };
        };
        let (table, old, new) = match event.event_type {
            EventType::Insert { table, data, .. } => (table, None, data),
            EventType::Update { table, old_data, new_data, .. } => (table, old_data, new_data),
            _ => return Ok(None),
        };
        match &*table {
            "product" => product(&new, old.as_ref()).map(Some),
            "page" => Ok(Some(page(&new)?)),
            _ => Ok(None),
        }
    }
}

fn product(new: &RowData, old: Option<&RowData>) -> Answer<Message> {
    let row: ProductRow = new.deserialize_into()?;
    let old: Option<OldPrice> = old.map(RowData::deserialize_into).transpose()?;
    let cheaper = old.is_some_and(|old| row.price_cents < old.price_cents);
    let product = domain::Product {
        id: row.id,
        name: row.name,
        brand: row.brand,
        category: row.category,
        price_cents: row.price_cents,
        stock: row.stock,
        weight_grams: row.weight_grams,
    };
    Ok(Message {
        version: row.version,
        at: row.updated_at,
        cause: if cheaper { Cause::Cheaper } else { Cause::Unknown },
        replay: false,
        change: Change::Product(product),
    })
}

fn page(new: &RowData) -> Answer<Message> {
    let row: PageRow = new.deserialize_into()?;
    let change = if row.published {
        Change::Page(domain::Page { id: row.id, title: row.title, products: row.products })
    } else {
        Change::PageGone(row.id)
    };
    Ok(Message { version: row.version, at: row.updated_at, cause: Cause::Unknown, replay: false, change })
}

/// An array of numbers as PostgreSQL writes it: `{1,2,3}`.
fn ids<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<u64>, D::Error> {
    let text = String::deserialize(value)?;
    let list = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let list = list.ok_or_else(|| D::Error::custom(format!("{text:?} is not an array")))?;
    list.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().map_err(D::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use pg_walstream::{ColumnData, ColumnInfo, LogicalReplicationMessage, TupleData, encode_message_to_bytes};

    use super::*;

    const TABLE: u32 = 7;

    fn described(name: &str, columns: &[&str]) -> Bytes {
        let columns = columns.iter().map(|name| ColumnInfo::new(0, (*name).to_owned(), 25, -1)).collect();
        encode(&LogicalReplicationMessage::Relation {
            relation_id: TABLE,
            namespace: "public".into(),
            relation_name: name.into(),
            replica_identity: b'f',
            columns,
        })
    }

    fn encode(message: &LogicalReplicationMessage) -> Bytes {
        encode_message_to_bytes(message, 1).freeze()
    }

    fn row(values: &[&str]) -> TupleData {
        TupleData::new(values.iter().map(|value| ColumnData::text(value.as_bytes().to_vec())).collect())
    }

    fn update(old: &[&str], new: &[&str]) -> Bytes {
        encode(&LogicalReplicationMessage::Update {
            relation_id: TABLE,
            old_tuple: Some(row(old)),
            new_tuple: row(new),
            key_type: Some('O'),
        })
    }

    #[test]
    fn columns_are_found_by_name_and_a_lower_price_is_seen() {
        let mut decoder = Decoder::new();
        let columns =
            ["new_column", "id", "name", "brand", "category", "price_cents", "stock", "version", "updated_at"];
        assert!(decoder.decode(described("product", &columns)).unwrap().is_none());
        let (dear, cheap) =
            (["x", "3", "a", "1", "2", "500", "9", "4", "60"], ["x", "3", "b", "1", "2", "400", "9", "5", "70"]);
        let message = decoder.decode(update(&dear, &cheap)).unwrap().unwrap();
        assert_eq!((message.version, message.at, message.cause), (5, 70, Cause::Cheaper));
        let Change::Product(product) = message.change else { panic!("a product") };
        assert_eq!((product.id, product.name.as_str(), product.weight_grams), (3, "b", None));
        assert_eq!(decoder.decode(update(&cheap, &dear)).unwrap().unwrap().cause, Cause::Unknown);
    }

    #[test]
    fn a_page_that_is_taken_down_is_gone() {
        let mut decoder = Decoder::new();
        let columns = ["id", "title", "products", "published", "version", "updated_at"];
        decoder.decode(described("page", &columns)).unwrap();
        let shown = ["1", "t", "{5,6}", "t", "1", "10"];
        let gone = ["1", "t", "{}", "f", "2", "20"];
        let page = domain::Page { id: 1, title: "t".to_owned(), products: vec![5, 6] };
        assert_eq!(decoder.decode(update(&gone, &shown)).unwrap().unwrap().change, Change::Page(page));
        assert_eq!(decoder.decode(update(&shown, &gone)).unwrap().unwrap().change, Change::PageGone(1));
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let row = update(&["1"], &["1"]);
        assert!(Decoder::new().decode(row.clone()).is_err(), "its table was not described");
        let mut decoder = Decoder::new();
        decoder.decode(described("product", &["id"])).unwrap();
        assert!(decoder.decode(row.clone()).is_err(), "columns are missing");
        for length in 0..row.len() {
            assert!(decoder.decode(row.slice(..length)).is_err(), "{length} bytes of {}", row.len());
        }
    }
}
