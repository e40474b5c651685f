//! pgoutput, protocol version 1: rows of two tables, told apart by the relation messages that come before them.
//!
//! Only what this comparison needs: inserts and updates of `product` and `page`, columns as text. Columns are found by
//! name, so that a column that is added later does no harm. Every length is checked before it is used.

use std::collections::HashMap;

use bytes::{Buf, Bytes};

use crate::domain::{Cause, Change, Message, Page, Product};
use crate::{Answer, Failure};

/// Remembers what the relation messages said.
#[derive(Default)]
pub(super) struct Decoder {
    relations: HashMap<u32, Relation>,
}

struct Relation {
    table: String,
    columns: Vec<String>,
}

/// A row's columns by place; none is NULL, or a long value that did not change.
type Tuple = Vec<Option<Bytes>>;

struct Row<'a> {
    columns: &'a [String],
    tuple: &'a Tuple,
}

impl Decoder {
    /// A change of a row that is of interest.
    pub(super) fn decode(&mut self, mut data: Bytes) -> Answer<Option<Message>> {
        match data.try_get_u8()? {
            b'R' => {
                let (id, relation) = relation(&mut data)?;
                self.relations.insert(id, relation);
                Ok(None)
            }
            b'I' | b'U' => self.changed(data),
            _ => Ok(None),
        }
    }

    fn changed(&self, mut data: Bytes) -> Answer<Option<Message>> {
        let id = data.try_get_u32()?;
        let relation = self.relations.get(&id).ok_or("a row came before its relation: the stream is broken")?;
        let (mut old, mut new) = (None, None);
        while data.has_remaining() {
            match data.try_get_u8()? {
                b'N' => new = Some(tuple(&mut data)?),
                b'O' | b'K' => old = Some(tuple(&mut data)?),
                other => return Err(format!("a row of unknown kind {other}: the stream is broken").into()),
            }
        }
        let row = |tuple| Row { columns: &relation.columns, tuple };
        let new = new.as_ref().map(row).ok_or("a change without its new row: the stream is broken")?;
        match relation.table.as_str() {
            "product" => product(&new, old.as_ref().map(row).as_ref()).map(Some),
            "page" => page(&new).map(Some),
            _ => Ok(None),
        }
    }
}

fn relation(data: &mut Bytes) -> Answer<(u32, Relation)> {
    let id = data.try_get_u32()?;
    let _schema = string(data)?;
    let table = string(data)?;
    let _identity = data.try_get_u8()?;
    let count = data.try_get_u16()?;
    let columns = (0..count).map(|_| {
        let _part_of_key = data.try_get_u8()?;
        let name = string(data)?;
        let _type_and_modifier = data.try_get_u64()?;
        Ok(name)
    });
    Ok((id, Relation { table, columns: columns.collect::<Answer<_>>()? }))
}

fn string(data: &mut Bytes) -> Answer<String> {
    let end = data.iter().position(|byte| *byte == 0).ok_or("a name without an end: the stream is broken")?;
    let name = data.split_to(end);
    data.advance(1);
    Ok(String::from_utf8(name.into())?)
}

fn tuple(data: &mut Bytes) -> Answer<Tuple> {
    let count = data.try_get_u16()?;
    let column = |_| -> Answer<Option<Bytes>> {
        match data.try_get_u8()? {
            b'n' | b'u' => Ok(None),
            b't' => {
                let length = data.try_get_u32()? as usize;
                if length > data.len() {
                    return Err("a value longer than its message: the stream is broken".into());
                }
                Ok(Some(data.split_to(length)))
            }
            other => Err(format!("a value of unknown kind {other}: the stream is broken").into()),
        }
    };
    (0..count).map(column).collect()
}

impl Row<'_> {
    fn text(&self, name: &str) -> Answer<Option<&str>> {
        let place = self.columns.iter().position(|column| column == name);
        let value = place.and_then(|place| self.tuple.get(place)?.as_ref());
        Ok(value.map(|bytes| std::str::from_utf8(bytes)).transpose()?)
    }

    fn required(&self, name: &str) -> Answer<&str> {
        self.text(name)?.ok_or_else(|| format!("a row without {name}: capture it with all columns").into())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Answer<T>
    where
        Failure: From<T::Err>,
    {
        Ok(self.required(name)?.parse()?)
    }
}

fn product(new: &Row<'_>, old: Option<&Row<'_>>) -> Answer<Message> {
    let product = Product {
        id: new.number("id")?,
        name: new.required("name")?.to_owned(),
        brand: new.number("brand")?,
        category: new.number("category")?,
        price_cents: new.number("price_cents")?,
        stock: new.number("stock")?,
        weight_grams: new.text("weight_grams")?.map(str::parse).transpose()?,
    };
    let before: Option<u64> = old.map(|old| old.number("price_cents")).transpose()?;
    let cheaper = before.is_some_and(|before| product.price_cents < before);
    let cause = if cheaper { Cause::Cheaper } else { Cause::Unknown };
    message(new, cause, Change::Product(product))
}

fn page(new: &Row<'_>) -> Answer<Message> {
    let id = new.number("id")?;
    if new.required("published")? != "t" {
        return message(new, Cause::Unknown, Change::PageGone(id));
    }
    let list = new.required("products")?.trim_start_matches('{').trim_end_matches('}');
    let products = list.split(',').filter(|id| !id.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
    message(new, Cause::Unknown, Change::Page(Page { id, title: new.required("title")?.to_owned(), products }))
}

fn message(new: &Row<'_>, cause: Cause, change: Change) -> Answer<Message> {
    let (version, at) = (new.number("version")?, new.number("updated_at")?);
    Ok(Message { version, at, cause, replay: false, change })
}
