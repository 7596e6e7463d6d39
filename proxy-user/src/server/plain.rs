//! Plain answers, with the headers of Go's http.Error.

use hyper::{Response, StatusCode, header};

/// A text.
pub(super) fn text(body: impl Into<String>) -> Response<String> {
    with_type(body, "text/plain; charset=utf-8")
}

/// A body of some media type.
pub(super) fn with_type(body: impl Into<String>, kind: &'static str) -> Response<String> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

/// There is no such page.
pub(super) fn not_found() -> Response<String> {
    let mut response = text("404 page not found\n");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
