//! RESP, what Redis and Valkey speak: versions 2 and 3 of it.
//! [The specification](https://redis.io/docs/latest/develop/reference/protocol-spec/) is public.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Bounds, Reader};
pub(crate) use write::Command;

use crate::failure::{Failure, ServerError};

/// What a server has answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A whole number. `true` is 1, `false` is 0.
    Int(i64),
    /// Bytes: a bulk or a simple string, a number with a point, or a large one.
    Bytes(Vec<u8>),
    /// A list or a set; of a map, its keys and values in turn.
    List(Vec<Value>),
    /// The command has failed.
    Error(ServerError),
}

impl Value {
    /// Itself, unless it says that the command has failed.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        match self {
            Self::Error(error) => Err(Failure::Refused(error)),
            value => Ok(value),
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Its bytes as text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Its number.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Its elements.
    pub(crate) fn list(&self) -> Option<&[Value]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}
