//! Hugging Face's Text Generation Inference.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "the source of TGI 3.3.6",
    rows: rows! {
        POST "/" Generates as TgiGenerate: "its own completions, streamed or not";
        POST "/generate" Generates as TgiGenerate: "its own completions";
        POST "/generate_stream" Generates as TgiGenerateStream: "its own completions, streamed";
        POST "/v1/chat/completions" Generates as Chat: "OpenAI chat";
        POST "/v1/completions" Generates as Completions: "OpenAI completions";
        POST "/invocations" Generates as Invocations: "SageMaker: any of these, by the shape of the body";
        POST "/vertex" Generates: "Vertex AI: chat or completions";
        POST "/v2/models/{model}/versions/{version}/infer" Generates: "KServe: completions";
        POST "/tokenize" Counts: "text to token ids";
        POST "/chat_tokenize" Counts: "chat to token ids";
        GET "/" Reads: "health";
        GET "/health" Reads: "health";
        GET "/ping" Reads: "health";
        GET "/v1/models" Reads: "models";
        GET "/docs" Reads: "web page of the API";
        GET "/info" Info: "the model and settings";
        GET "/metrics" Info: "metrics of all clients";
    },
};
