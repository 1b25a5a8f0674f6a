//! JSON whose members stay in the order in which they are put: engines differ in it, and what is
//! compared member by member must not be sorted on the way.

use std::fmt;

use serde_json::Value;

/// JSON that is written already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Json(String);

/// `null`
pub(crate) const NULL: Option<Json> = None;

impl Json {
    /// `text` must be JSON.
    pub(crate) fn written(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can stand in JSON.
pub(crate) trait ToJson {
    fn put(&self, out: &mut String);
}

impl ToJson for Json {
    fn put(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl ToJson for str {
    fn put(&self, out: &mut String) {
        out.push_str(&Value::from(self).to_string());
    }
}

impl ToJson for String {
    fn put(&self, out: &mut String) {
        self.as_str().put(out);
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn put(&self, out: &mut String) {
        (**self).put(out);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn put(&self, out: &mut String) {
        match self {
            Some(value) => value.put(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn put(&self, out: &mut String) {
        out.push('[');
        for (position, value) in self.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            value.put(out);
        }
        out.push(']');
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn put(&self, out: &mut String) {
        self.as_slice().put(out);
    }
}

impl<T: ToJson, const N: usize> ToJson for [T; N] {
    fn put(&self, out: &mut String) {
        self.as_slice().put(out);
    }
}

macro_rules! plain {
    ($($type:ty)*) => {$(
        impl ToJson for $type {
            fn put(&self, out: &mut String) {
                out.push_str(&Value::from(*self).to_string());
            }
        }
    )*};
}

plain! { bool u16 u64 usize i32 f64 }

/// An object that is being written.
#[derive(Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn put(&mut self, name: &str, value: &dyn ToJson) -> &mut Self {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        name.put(&mut self.0);
        self.0.push(':');
        value.put(&mut self.0);
        self
    }

    /// A member that is not there without a value.
    pub(crate) fn put_some<T: ToJson>(&mut self, name: &str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, &value);
        }
        self
    }

    pub(crate) fn json(&mut self) -> Json {
        let mut text = std::mem::take(&mut self.0);
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        Json(text)
    }
}

/// `object! { "name": value, ... }`
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let mut object = $crate::ordered::Object::default();
        $(object.put($name, &$value);)*
        object.json()
    }};
}
pub(crate) use object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_in_order() {
        let mut more = Object::default();
        more.put("z", &"\"\n").put_some("y", None::<u64>).put_some("x", Some(0.5));
        let json = object! {
            "b": 1_u64, "a": [true, false], "n": NULL, "o": more.json(), "e": object! {},
            "l": Vec::<Json>::new(),
        };
        let text = r#"{"b":1,"a":[true,false],"n":null,"o":{"z":"\"\n","x":0.5},"e":{},"l":[]}"#;
        assert_eq!(json.to_string(), text);
    }
}
