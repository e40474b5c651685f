//! What `#[record(…)]` says on a type, a field or a variant.
//!
//! Other attributes are left alone: `#[serde(…)]` and its like may be on the same item.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Path, Type};

/// `#[record(…)]` on a struct or enum.
#[derive(Default)]
pub(crate) struct TypeAttributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) key: Option<Vec<KeyPath>>,
    krate: Option<Path>,
}

/// A part of a key: a field, or a path through components.
pub(crate) struct KeyPath {
    pub(crate) parts: Vec<String>,
    pub(crate) literal: LitStr,
}

/// `#[record(…)]` on a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) was: Option<LitStr>,
    pub(crate) default: bool,
    pub(crate) dedup: bool,
    pub(crate) packed: bool,
    pub(crate) skip: bool,
    pub(crate) with: Option<Type>,
}

/// `#[record(…)]` on a variant, and std's `#[default]`.
#[derive(Default)]
pub(crate) struct VariantAttributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) other: bool,
    pub(crate) default: bool,
}

impl TypeAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<TypeAttributes> {
        let mut parsed = TypeAttributes::default();
        each(attributes, |meta| {
            if meta.path.is_ident("name") {
                parsed.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("key") {
                parsed.key = Some(key_paths(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("crate") {
                parsed.krate = Some(meta.value()?.call(Path::parse_mod_style)?);
            } else {
                return Err(meta.error("unknown; on a type write key = \"field\", name = \"…\" or crate = path"));
            }
            Ok(())
        })?;
        Ok(parsed)
    }

    /// Where the generated code finds Cenote: at `home`, unless `#[record(crate = path)]` says otherwise.
    pub(crate) fn krate(&self, home: &TokenStream) -> TokenStream {
        self.krate.as_ref().map_or_else(|| home.clone(), Path::to_token_stream)
    }
}

impl FieldAttributes {
    pub(crate) fn parse(field: &Ident, attributes: &[Attribute]) -> syn::Result<FieldAttributes> {
        let mut parsed = FieldAttributes::default();
        each(attributes, |meta| {
            if meta.path.is_ident("name") {
                parsed.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("was") {
                parsed.was = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("default") {
                parsed.default = true;
            } else if meta.path.is_ident("dedup") {
                parsed.dedup = true;
            } else if meta.path.is_ident("packed") {
                parsed.packed = true;
            } else if meta.path.is_ident("skip") {
                parsed.skip = true;
            } else if meta.path.is_ident("with") {
                parsed.with = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("key") {
                return Err(meta.error(format!(
                    "field {field}: the key belongs on the struct; write #[record(key = \"{field}\")] above it"
                )));
            } else if meta.path.is_ident("other") {
                return Err(meta.error(format!("field {field}: other belongs on a variant of an enum")));
            } else {
                return Err(meta.error(format!(
                    "field {field}: unknown; write name = \"…\", was = \"…\", default, dedup, packed, skip or with = Adapter"
                )));
            }
            Ok(())
        })?;
        Ok(parsed)
    }
}

impl VariantAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<VariantAttributes> {
        let mut parsed = VariantAttributes::default();
        each(attributes, |meta| {
            if meta.path.is_ident("name") {
                parsed.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("other") {
                parsed.other = true;
            } else {
                return Err(meta.error("unknown; on a variant write name = \"…\" or other"));
            }
            Ok(())
        })?;
        parsed.default = attributes.iter().any(|attribute| attribute.path().is_ident("default"));
        Ok(parsed)
    }
}

fn each(attributes: &[Attribute], mut take: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>) -> syn::Result<()> {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident("record"));
    ours.into_iter().try_for_each(|attribute| attribute.parse_nested_meta(&mut take))
}

/// `"a, b.c"` or `["a", "b.c"]`.
fn key_paths(value: &Expr) -> syn::Result<Vec<KeyPath>> {
    let literals = match value {
        Expr::Group(group) => return key_paths(&group.expr),
        Expr::Array(array) => array.elems.iter().map(text).collect::<syn::Result<Vec<_>>>()?,
        single => vec![text(single)?],
    };
    let mut paths = Vec::new();
    for literal in literals {
        for path in literal.value().split(',') {
            let parts: Vec<String> = path.split('.').map(|part| part.trim().to_owned()).collect();
            if parts.iter().any(String::is_empty) {
                return Err(syn::Error::new(literal.span(), "a key part is empty; write key = \"a, b.c\""));
            }
            paths.push(KeyPath { parts, literal: literal.clone() });
        }
    }
    if paths.is_empty() || paths.len() > 8 {
        return Err(syn::Error::new_spanned(value, "a key has 1 to 8 parts"));
    }
    Ok(paths)
}

fn text(value: &Expr) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        // How a `macro_rules!` hands on a `$key:expr`.
        Expr::Group(group) => self::text(&group.expr),
        other => Err(syn::Error::new_spanned(other, "a key is text; write key = \"a, b.c\" or key = [\"a\", \"b.c\"]")),
    }
}
