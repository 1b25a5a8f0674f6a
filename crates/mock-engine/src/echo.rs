//! `/echo`: the request, as it arrived.

use crate::http::{Request, Response};
use crate::json;

/// Headers stay in their order, duplicates and case included: tests judge what a gateway sends.
pub(crate) fn answer(request: &Request) -> Response {
    let mut body = Vec::with_capacity(1024);
    body.extend(b"{\"method\":");
    json::push_bytes(&mut body, &request.method);
    body.extend(b",\"uri\":");
    json::push_bytes(&mut body, &request.uri);
    body.extend(b",\"protocol\":");
    json::push_bytes(&mut body, request.version.name().as_bytes());
    body.extend(b",\"headers\":[");
    for (position, (name, value)) in request.headers.iter().enumerate() {
        body.extend(if position == 0 { b"[".as_slice() } else { b",[" });
        json::push_bytes(&mut body, name);
        body.push(b',');
        json::push_bytes(&mut body, value);
        body.push(b']');
    }
    body.extend(b"],\"body\":");
    json::push_bytes(&mut body, &request.body);
    body.extend(format!(",\"body_bytes\":{}}}", request.body.len()).bytes());

    Response::json(200, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, Value};

    #[test]
    fn order_case_and_duplicates_are_kept() {
        let mut input: &[u8] = b"PUT /echo/a?b=c HTTP/1.1\r\nX-B: 1\r\nx-a: \xff\"\r\nX-B: 2\r\n\
            Content-Length: 2\r\n\r\n\x00\xe9";
        let head = crate::http::read_head(&mut input).unwrap().unwrap();
        let request = crate::http::read_body(&mut input, head).unwrap();

        let echo: Value = serde_json::from_slice(&answer(&request).body).unwrap();
        assert_eq!(
            echo,
            json!({
                "method": "PUT",
                "uri": "/echo/a?b=c",
                "protocol": "HTTP/1.1",
                "headers": [
                    ["X-B", "1"], ["x-a", "\u{ff}\""], ["X-B", "2"], ["Content-Length", "2"]
                ],
                "body": "\0\u{e9}",
                "body_bytes": 2,
            })
        );
    }
}
