//! Hugging Face's Text Generation Inference.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "the source of TGI 3.3.6",
    rows: rows! {
        POST "/" Generates(Completions) as TgiGenerate: "its own completions, streamed or not";
        POST "/generate" Generates(Completions) as TgiGenerate: "its own completions";
        POST "/generate_stream" Generates(Completions) as TgiGenerateStream: "its own completions, streamed";
        POST "/v1/chat/completions" Generates(Chat) as Chat: "OpenAI chat";
        POST "/v1/completions" Generates(Completions) as Completions: "OpenAI completions";
        POST "/invocations" Generates(Admin) as Invocations: "SageMaker: any of these, by the shape of the body";
        POST "/vertex" Generates(Chat): "Vertex AI: chat or completions";
        POST "/v2/models/{model}/versions/{version}/infer" Generates(Completions): "KServe: completions";
        POST "/tokenize" Counts(Tokenize): "text to token ids";
        POST "/chat_tokenize" Counts(Tokenize): "chat to token ids";
        GET "/" Reads(Models): "health";
        GET "/health" Reads(Models): "health";
        GET "/ping" Reads(Models): "health";
        GET "/v1/models" Reads(Models): "models";
        GET "/v2/health/ready" Reads(Models): "KServe: health";
        GET "/v2/health/live" Reads(Models): "KServe: health";
        GET "/v2/models/{model}/versions/{version}/ready" Reads(Models): "KServe: health";
        GET "/docs" Info: "web page of the API";
        GET "/api-doc/openapi.json" Info: "schema of the API";
        GET "/v2" Info: "KServe: the server";
        GET "/v2/models/{model}/versions/{version}" Info: "KServe: the model";
        GET "/info" Info: "the model and settings";
        GET "/metrics" Info: "metrics of all clients";
    },
};
