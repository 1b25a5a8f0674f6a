use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use super::input::Measure;
use crate::llm::request::{RequestError, MAX_MODEL_LEN};
use crate::surrogate::MARK;

/// A value that is no string, array or object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Less than 0.
    Signed(i64),
    Float(f64),
}

impl Scalar {
    /// The whole number that this is, or `Some(None)` for null. `16.0` is one, as it is for the
    /// engines; beyond 2^53 a float says no longer which one.
    pub(super) fn whole(self) -> Option<Option<i128>> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Self::Null => Some(None),
            Self::Bool(_) => None,
            Self::Unsigned(value) => Some(Some(value.into())),
            Self::Signed(value) => Some(Some(value.into())),
            Self::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
                #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 2^53")]
                let value = value as i128;
                Some(Some(value))
            }
            Self::Float(_) => None,
        }
    }
}

/// Reads a [`Scalar`].
pub(super) struct ScalarValue<'r> {
    pub(super) measure: &'r mut Measure,
}

impl<'de> DeserializeSeed<'de> for ScalarValue<'_> {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarValue<'_> {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, true, false or null")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    // Without this, the error would hold the string.
    fn visit_str<E: Error>(self, _: &str) -> Result<Scalar, E> {
        Err(self.measure.refuse_value())
    }
}

/// Reads the value of `model`: a string or null.
pub(super) struct Model<'r> {
    pub(super) measure: &'r mut Measure,
}

impl<'de> DeserializeSeed<'de> for Model<'_> {
    type Value = Option<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Model<'_> {
    type Value = Option<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        if name.len() > MAX_MODEL_LEN || name.contains(char::is_control) {
            return Err(self.measure.refuse_value());
        }
        if name.contains(MARK) {
            return Err(self.measure.refuse(RequestError::HalfPair("model")));
        }
        Ok(Some(name.into()))
    }
}
