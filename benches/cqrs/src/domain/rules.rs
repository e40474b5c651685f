//! The invariants: what a command does to an entity, or why it is rejected. Every write side uses these.

use super::{Cause, Command, Key, PAGE_PRODUCTS_MAX, Page, Product, Reference, Rejected};

/// The product after `command`, and why it changed. `now` is the product before it, if it exists.
///
/// # Errors
/// The command breaks a rule.
///
/// # Panics
/// If the command is one on pages.
pub fn product(now: Option<Product>, command: &Command, reference: &Reference) -> Result<(Product, Cause), Rejected> {
    if let Command::Add(product) = command {
        if now.is_some() {
            return Err(Rejected::ProductExists(product.id));
        }
        check(product, reference)?;
        return Ok((product.clone(), Cause::Added));
    }
    let Key::Product(id) = command.key() else { panic!("{command:?} is not on a product") };
    let mut product = now.ok_or(Rejected::NoProduct(id))?;
    let cause = change(&mut product, command)?;
    check(&product, reference)?;
    Ok((product, cause))
}

fn change(product: &mut Product, command: &Command) -> Result<Cause, Rejected> {
    Ok(match command {
        Command::Rename { name, .. } => {
            product.name.clone_from(name);
            Cause::Renamed
        }
        Command::Price { price_cents, .. } => {
            let cheaper = *price_cents < product.price_cents;
            product.price_cents = *price_cents;
            if cheaper { Cause::Cheaper } else { Cause::Dearer }
        }
        Command::Stock { id, by } => {
            let stock = i64::from(product.stock).checked_add(*by).and_then(|stock| u32::try_from(stock).ok());
            product.stock = stock.ok_or(Rejected::OutOfStock { id: *id, stock: product.stock, by: *by })?;
            Cause::Stocked
        }
        Command::Move { category, .. } => {
            product.category = *category;
            Cause::Moved
        }
        Command::Add(_) | Command::Publish(_) | Command::Unpublish { .. } => {
            unreachable!("the caller handles these")
        }
    })
}

fn check(product: &Product, reference: &Reference) -> Result<(), Rejected> {
    let wrong = |what, value| Rejected::OutOfRange { key: Key::Product(product.id), what, value };
    if product.price_cents == 0 {
        return Err(wrong("the price", 0));
    }
    if product.category as usize >= reference.categories.len() {
        return Err(wrong("the category", product.category.into()));
    }
    if product.brand as usize >= reference.brands.len() {
        return Err(wrong("the brand", product.brand.into()));
    }
    Ok(())
}

/// Checks whether a page may be published; `exists` returns whether a product exists.
///
/// # Errors
/// The page breaks a rule, or `exists` fails.
pub fn publish<E: From<Rejected>>(page: &Page, mut exists: impl FnMut(u64) -> Result<bool, E>) -> Result<(), E> {
    let count = page.products.len();
    if count == 0 || count > PAGE_PRODUCTS_MAX {
        let what = "the number of products";
        return Err(Rejected::OutOfRange { key: Key::Page(page.id), what, value: count as u64 }.into());
    }
    for &id in &page.products {
        if !exists(id)? {
            return Err(Rejected::NoProduct(id).into());
        }
    }
    Ok(())
}
