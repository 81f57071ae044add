//! What a statement is given, with its types: the database need not be asked for them, which saves each statement a round trip.

use tokio_postgres::types::{ToSql, Type};

pub(super) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

/// A `bigint`.
pub(super) fn number(value: &i64) -> Parameter<'_> {
    (value, Type::INT8)
}

/// A `bigint[]`.
pub(super) fn numbers(values: &(impl ToSql + Sync)) -> Parameter<'_> {
    (values, Type::INT8_ARRAY)
}

/// A `text`.
pub(super) fn text<'p>(value: &'p &'p str) -> Parameter<'p> {
    (value, Type::TEXT)
}

/// A `text[]`.
pub(super) fn texts(values: &(impl ToSql + Sync)) -> Parameter<'_> {
    (values, Type::TEXT_ARRAY)
}

/// A `bytea`.
pub(super) fn bytes<'p>(value: &'p &'p [u8]) -> Parameter<'p> {
    (value, Type::BYTEA)
}
