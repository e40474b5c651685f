//! A struct's fields: their types as the traits see them, and the mistakes that show in the tokens.

use proc_macro2::TokenStream;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::{DataStruct, Field, Fields, Ident, Type, TypePath, Visibility};

use crate::attributes::FieldAttributes;
use crate::hygiene::generate;
use crate::types::{dedup, generic, is_float, is_named, packed, plain};

/// A field, ready to be generated.
pub(crate) struct Parsed {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    /// The type as written, with `Self` spelled out.
    pub(crate) written: Type,
    /// The type that implements `Field`: as written, but for deduplicated and packed text.
    pub(crate) field_type: Type,
    /// The name in the dataset.
    pub(crate) name: String,
    pub(crate) attributes: FieldAttributes,
    pub(crate) docs: Vec<syn::Attribute>,
}

/// Methods that every reader has.
const RESERVED: [&str; 2] = ["ordinal", "to_owned"];

/// The fields that the dataset has, and those that are skipped.
pub(crate) fn parse(
    owner: &Ident,
    is_root: bool,
    data: &DataStruct,
    krate: &TokenStream,
) -> syn::Result<(Vec<Parsed>, Vec<Ident>)> {
    let Fields::Named(fields) = &data.fields else {
        let message = format!("record {owner} needs named fields; write struct {owner} {{ name: Type, … }}");
        return Err(syn::Error::new_spanned(owner, message));
    };
    let (mut parsed, mut skipped): (Vec<Parsed>, Vec<Ident>) = (Vec::new(), Vec::new());
    for field in &fields.named {
        let Some(next) = parse_field(owner, is_root, field, krate)? else {
            skipped.extend(field.ident.clone());
            continue;
        };
        if parsed.iter().any(|known| known.name == next.name) {
            let message = format!("field {}: two fields are named {:?} in the dataset", next.ident.unraw(), next.name);
            return Err(syn::Error::new_spanned(&next.ident, message));
        }
        parsed.push(next);
    }
    if parsed.is_empty() {
        return Err(syn::Error::new_spanned(
            owner,
            format!("record {owner} has no fields; a record holds at least one"),
        ));
    }
    Ok((parsed, skipped))
}

/// None for a field that is skipped.
fn parse_field(owner: &Ident, is_root: bool, field: &Field, krate: &TokenStream) -> syn::Result<Option<Parsed>> {
    let ident = field.ident.clone().expect("named fields have names");
    let spoken = ident.unraw();
    let attributes = FieldAttributes::parse(&spoken, &field.attrs)?;
    let FieldAttributes { name, was, default, dedup: is_dedup, packed: is_packed, skip, with } = &attributes;
    if *skip {
        if name.is_some() || was.is_some() || *default || *is_dedup || *is_packed || with.is_some() {
            let message = format!("field {spoken}: the dataset does not have what is skipped; write skip alone");
            return Err(syn::Error::new_spanned(&ident, message));
        }
        return Ok(None);
    }
    if RESERVED.iter().any(|reserved| spoken == reserved) {
        let message = format!(
            "field {spoken}: every reader has a method of that name; rename the field, and write #[record(name = \"{spoken}\")] to keep its name in the dataset"
        );
        return Err(syn::Error::new_spanned(&ident, message));
    }
    let written = plain(&field.ty, owner);
    if with.is_none() {
        Check { owner, is_root, field: &spoken }.field(&written)?;
    }
    let field_type = match (*is_dedup, *is_packed) {
        (true, _) | (_, true) if with.is_some() => {
            let message = format!("field {spoken}: the adapter says what is stored; leave dedup and packed out");
            return Err(syn::Error::new_spanned(&ident, message));
        }
        (true, true) => {
            let message = format!("field {spoken}: text is kept once (dedup) or packed, not both; leave one out");
            return Err(syn::Error::new_spanned(&ident, message));
        }
        (true, false) => dedup(&spoken, &written, krate)?,
        (false, true) => packed(&spoken, &written, krate)?,
        (false, false) => match with {
            Some(adapter) => syn::parse_quote!(#krate::__derive::With<#adapter>),
            None => written.clone(),
        },
    };
    let name = attributes.name.as_ref().map_or_else(|| spoken.to_string(), syn::LitStr::value);
    let docs = field.attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).cloned().collect();
    let visibility = field.vis.clone();
    Ok(Some(Parsed { ident, visibility, written, field_type, name, attributes, docs }))
}

/// The mistakes that show in the tokens. An alias hides them; then the traits report them.
struct Check<'a> {
    owner: &'a Ident,
    is_root: bool,
    field: &'a Ident,
}

const SETS: [&str; 2] = ["BTreeSet", "HashSet"];
const MAPS: [&str; 2] = ["BTreeMap", "HashMap"];

impl Check<'_> {
    fn error<T>(&self, at: &Type, message: &str) -> syn::Result<T> {
        Err(syn::Error::new_spanned(at, format!("field {}: {message}", self.field)))
    }

    fn field(&self, ty: &Type) -> syn::Result<()> {
        match generic(ty) {
            Some(("Option", arguments)) => match arguments.first() {
                Some(inner) if matches!(generic(inner), Some(("Option", _))) => {
                    self.error(inner, "Option in Option says nothing more; write Option once")
                }
                Some(inner) => self.present(inner),
                None => Ok(()),
            },
            _ => self.present(ty),
        }
    }

    fn present(&self, ty: &Type) -> syn::Result<()> {
        match generic(ty) {
            Some(("Vec", arguments)) if arguments.first().is_some_and(|inner| is_named(inner, "u8")) => Ok(()),
            Some((name, arguments)) if name == "Vec" || SETS.contains(&name) => {
                let Some(inner) = arguments.first() else { return Ok(()) };
                if SETS.contains(&name) && is_float(inner) {
                    return self.error(inner, "a set can't hold floats, which may differ from themselves; write Vec");
                }
                self.element(inner)
            }
            Some((name, arguments)) if MAPS.contains(&name) => {
                let (Some(key), Some(value)) = (arguments.first(), arguments.get(1)) else { return Ok(()) };
                if is_float(key) {
                    return self.error(key, "a map's key can't be a float; use an integer, an enum or String");
                }
                self.element(key)?;
                self.element(value)
            }
            _ => self.value(ty),
        }
    }

    /// What a list, a set or a map holds.
    fn element(&self, ty: &Type) -> syn::Result<()> {
        match generic(ty) {
            Some(("Vec", arguments)) if arguments.first().is_some_and(|inner| is_named(inner, "u8")) => Ok(()),
            Some((name, _)) if ["Vec", "Option"].contains(&name) || SETS.contains(&name) || MAPS.contains(&name) => {
                let message = format!(
                    "{name} inside a list, set or map is a level too deep; put it in a component: a struct with #[derive(Record)]"
                );
                self.error(ty, &message)
            }
            _ => self.value(ty),
        }
    }

    fn value(&self, ty: &Type) -> syn::Result<()> {
        match ty {
            Type::Reference(_) => self.error(ty, "a record owns what it holds; write String for &str, Vec for a slice"),
            Type::Array(_) | Type::Slice(_) => {
                self.error(ty, "arrays are not records' values; write Vec, or #[record(with = Adapter)]")
            }
            Type::Tuple(_) => self.error(ty, "tuples have no field names; make it a struct with #[derive(Record)]"),
            Type::Path(path) => self.path(ty, path),
            _ => Ok(()),
        }
    }

    fn path(&self, ty: &Type, path: &TypePath) -> syn::Result<()> {
        let Some(last) = path.path.segments.last() else { return Ok(()) };
        let name = last.ident.to_string();
        match name.as_str() {
            "usize" | "u128" => self.error(ty, &format!("{name} has no place in a dataset; write u64")),
            "isize" | "i128" => self.error(ty, &format!("{name} has no place in a dataset; write i64")),
            "char" => self.error(ty, "char has no place in a dataset; write String or u32"),
            "Box" | "Arc" | "Rc" | "Cow" => {
                let message =
                    format!("{name} has no place in a record; write what is inside it, or #[record(with = Adapter)]");
                self.error(ty, &message)
            }
            "VecDeque" => self.error(ty, "VecDeque has no place in a record; write Vec"),
            "Self" => self.itself(ty),
            _ if path.path.segments.len() == 1 && last.ident == *self.owner => self.itself(ty),
            _ => Ok(()),
        }
    }

    fn itself(&self, ty: &Type) -> syn::Result<()> {
        let owner = self.owner;
        let message = if self.is_root {
            format!("{owner} is a root, which is referred to by key; write Key<{owner}>")
        } else {
            format!("component {owner} can't contain itself; give it a key and write Key<{owner}>")
        };
        self.error(ty, &message)
    }
}

/// The number under which a field is found by its name: FNV-1a.
pub(crate) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The reader's name.
pub(crate) fn reader(owner: &Ident) -> Ident {
    format_ident!("{owner}Ref")
}

/// `None` or `Some("…")`.
pub(crate) fn optional_text(text: Option<&syn::LitStr>) -> TokenStream {
    if let Some(text) = text {
        generate!(::core::option::Option::Some(#text))
    } else {
        generate!(::core::option::Option::None)
    }
}
