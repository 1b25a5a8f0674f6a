//! Streams that go on without their client: one that was asked for with `X-Conversation-Id` is
//! generated to its end, and given out again to whoever knows the id.

use super::super::answer::Made;
use super::super::call::Call;
use super::super::error::Failure;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::ordered::{object, Json, ToJson};

pub(super) fn replay(call: &Call<'_>) -> Result<Made, Failure> {
    let from = call.query("from").and_then(|from| from.parse().ok()).unwrap_or(0);
    match call.query("conv_id").and_then(|id| call.record.conversation(id.as_bytes())) {
        Some(bytes) => {
            let rest = bytes.get(from..).unwrap_or_default();
            Ok(Made::text(200, "text/event-stream", &String::from_utf8_lossy(rest)))
        }
        None => Err(Failure::Api(ApiError {
            status: 404,
            message: "stream not found".to_owned(),
            param: None,
            code: None,
        })),
    }
}

pub(super) fn stop(call: &Call<'_>) -> Result<Made, Failure> {
    if let Some(id) = call.query("conv_id") {
        call.record.forget_conversation(id.as_bytes());
    }
    Ok(Made::text(204, "application/json", ""))
}

pub(super) fn look_up(call: &Call<'_>) -> Result<Made, Failure> {
    let fields: Fields = call.fields()?;
    let ids = fields.list("conversation_ids")?;
    let found: Vec<_> = ids
        .iter()
        .filter_map(|id| {
            let id = id.as_str()?;
            let bytes = call.record.conversation(id.as_bytes())?.len();
            Some(object! {
                "conversation_id": id, "is_done": true, "total_bytes": bytes,
                "started_at": 0_u64, "completed_at": 0_u64,
            })
        })
        .collect();
    let mut text = String::new();
    found.put(&mut text);
    Ok(Made::fixed(&Json::written(&text)))
}
