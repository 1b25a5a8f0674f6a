#!/usr/bin/perl

# A secret is written in all ways that a model could read and a guard might not: each is refused before the engine gets
# it. The same with a harmless word instead of it passes, where the engine would have read it.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use Encode qw//;
use MIME::Base64 qw/encode_base64/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy http_v2/)->has_daemon('curl');

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_guard strict {
        input  secrets block;
        input  pii email block;
    }

    tollgate_tier       open { }
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;
        tollgate_guards  strict;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file({ key => 'key-a', client => 'alice', tier => 'open' }));
start_engine($t, 8081);

my $chat = '/v1/chat/completions';
my $secret = 'AKIAQ3EGRZ5WJ7KTXM2P';
my $word = 'harmless';

# The name, what makes a body of the word, and more lines of the head: each is refused with the secret, and let in
# with the word.
my @read = (
	['as it is', sub { said($_[0]) }],
	['as escapes', sub { said(escaped($_[0])) }],
	['under escaped names', sub { qq({"model":"m","\\u006dessages":[{"r\\u006fle":"user","c\\u006fntent":"$_[0]"}]}) }],
	['in parts', sub { my @parts = $_[0] =~ /^(.{4})(.*)/;
		said_in(join ',', map { qq({"type":"text","text":"$_"}) } @parts) }],
	['in parts around a picture', sub { my @parts = $_[0] =~ /^(.{4})(.*)/;
		said_in(qq({"type":"text","text":"$parts[0]"},{"type":"image_url","image_url":{"url":"data:image\/png;base64,AAAA"}},)
			. qq({"type":"text","text":"$parts[1]"})) }],
	['in arguments of a tool', sub { called('{\\"k\\":\\"' . $_[0] . '\\"}') }],
	['in arguments, as escapes', sub { my $text = escaped($_[0]); $text =~ s/\\/\\\\/g; called('{\\"k\\":\\"' . $text . '\\"}') }],
	['in JSON in arguments, as escapes', sub { my $text = escaped($_[0]); $text =~ s/\\/\\\\\\\\/g;
		called('{\\"k\\":\\"{\\\\\\"z\\\\\\":\\\\\\"' . $text . '\\\\\\"}\\"}') }],
	['said twice', sub { qq({"model":"m","messages":[{"role":"user","content":"hi","content":"$_[0]"}]}) }],
	['said twice, first', sub { qq({"model":"m","messages":[{"role":"user","content":"$_[0]","content":"hi"}]}) }],
	['beside halves of surrogates', sub { said("\\ud800$_[0]\\udc00") }],
	['beside NUL', sub { said("\\u0000$_[0]\\u0000") }],
	['with a NUL in it', sub { my ($start, $rest) = $_[0] =~ /^(.{4})(.*)/; said("$start\\u0000$rest") }],
	['with a space of no width in it', sub { my ($start, $rest) = $_[0] =~ /^(.{4})(.*)/; said("$start\\u200b$rest") }],
	['in base64', sub { said(encode_base64("my key is $_[0], so use it", '')) }],
	['in base16', sub { said(unpack 'H*', "my key is $_[0], so use it") }],
	['in full width', sub { said(join '', map { sprintf '\\u%04x', ord() + 0xfee0 } split //, $_[0]) }],
	['deep down', sub { more('[' x 60 . qq("$_[0]") . ']' x 60) }],
	['as a name', sub { more(qq({"$_[0]":1})) }],
	['in a schema', sub { qq({"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":)
		. qq({"type":"json_schema","json_schema":{"name":"n","schema":{"enum":["$_[0]"]}}}}) }],
	['in the name of who says it', sub { qq({"model":"m","messages":[{"role":"user","name":"$_[0]","content":"hi"}]}) }],
	['in the URL of a picture', sub { said_in(qq({"type":"image_url","image_url":{"url":"data:text/plain,$_[0]"}})) }],
	['in a document', sub { more_as('documents', qq([{"title":"t","detail":"$_[0]"}])) }],
	['in the name of a member of a document', sub { more_as('documents', qq([{"$_[0]":"x"}])) }],
	['in the id of a call', sub { qq({"model":"m","messages":[{"role":"user","content":"hi"},{"role":"tool","tool_call_id":"$_[0]","content":"x"}]}) }],
	['as identity', sub { said($_[0]) }, 'Content-Encoding: identity'],
	['as plain text', sub { said($_[0]) }, 'Content-Type: text/plain'],
	['as an address', sub { my $name = $_[0] eq $secret ? 'jo@acme.com' : 'jo'; said("write to $name") }],
	['as an address in a URL', sub { my $name = $_[0] eq $secret ? 'jo%40acme.com' : 'jo'; said("http://a/?to=$name") }],
);

# The same in the dialect of Anthropic.
my @messages = (
	['in parts of the system prompt', sub { my ($start, $rest) = $_[0] =~ /^(.{4})(.*)/;
		qq("system":[{"type":"text","text":"$start"},{"type":"text","text":"$rest"}]) }],
	['in the text of a document', sub { qq("messages":[{"role":"user","content":[{"type":"document","source":)
		. qq({"type":"text","media_type":"text/plain","data":"https://a.example/$_[0]"}}]}]) }],
	['in the input of a tool', sub { qq("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f",)
		. qq("input":{"a":["$_[0]"]}}]}]) }],
	['in what a tool returned', sub { qq("messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",)
		. qq("content":[{"type":"text","text":"$_[0]"}]}]}]) }],
);

# What no engine should read so is refused whatever is in it.
my @unread = (
	['a second time', sub { qq({"model":"m","messages":[],"messages":[{"role":"user","content":"$_[0]"}]}) }, 400],
	['in other letters', sub { qq({"model":"m","messages":[],"Messages":[{"role":"user","content":"$_[0]"}]}) }, 400],
	['behind the body', sub { said('hi') . said($_[0]) }, 400],
	['beside a comment', sub { qq({"model":"m",/**/"messages":[{"role":"user","content":"$_[0]"}]}) }, 400],
	['in UTF-16', sub { Encode::encode('UTF-16', said($_[0])) }, 400],
	['in UTF-32', sub { Encode::encode('UTF-32LE', said($_[0])) }, 400],
	['in a list', sub { '[' . said($_[0]) . ']' }, 400],
	['too deep down', sub { more('[' x 400 . qq("$_[0]") . ']' x 400) }, 400],
	['as a form', sub { "messages=$_[0]" }, 400],
	['as gzip', sub { "\x1f\x8b\x08" . $_[0] }, 415, 'Content-Encoding: gzip'],
	['as br', sub { said($_[0]) }, 415, 'Content-Encoding: br'],
	['as gzip that says it is none', sub { "\x1f\x8b\x08" . $_[0] }, 400],
);

$t->run()->plan(2 * @read + 2 * @messages + 2 * @unread + 8);

###############################################################################

for (@read) {
	my ($name, $body, @lines) = @$_;
	my ($r, $line) = ask_for($t, $chat, $body->($secret), 'X-API-Key: key-a', @lines);
	like(status($r) . ' ' . ($line->{detail} // ''),
		qr/^403 guard_blocked (?:secrets\.aws_access_key|pii\.email)$/, "refused: $name");
	($r) = ask_for($t, $chat, $body->($word), 'X-API-Key: key-a', @lines);
	is(status($r), 200, "let in: $name");
}
for (@messages) {
	my ($name, $members) = @$_;
	for my $text ($secret, $word) {
		my $body = '{"model":"m","max_tokens":5,' . ($members->($text) =~ s/^(?="system)/"messages":[{"role":"user","content":"hi"}],/r) . '}';
		my ($r) = ask_for($t, '/v1/messages', $body, 'X-API-Key: key-a');
		is(status($r), $text eq $word ? 200 : 403, "Messages: $name, " . ($text eq $word ? 'harmless' : 'secret'));
	}
}
for (@unread) {
	my ($name, $body, $wanted, @lines) = @$_;
	for my $text ($secret, $word) {
		my ($r) = ask_for($t, $chat, $body->($text), 'X-API-Key: key-a', @lines);
		is(status($r), $wanted, "refused, whatever it says: $name, " . ($text eq $word ? 'harmless' : 'secret'));
	}
}

# The engine of this test reads no byte order mark.

is(status((ask_for($t, $chat, "\xef\xbb\xbf" . said($secret), 'X-API-Key: key-a'))[0]), 403, 'behind a byte order mark');

# how it is sent

for my $text ($secret, $word) {
	my $wanted = $text eq $word ? 200 : 403;
	is(status(ask(chunked($chat, said($text), 3, 'X-API-Key: key-a'))), $wanted, "in chunks of 3 bytes: $wanted");
	like(h2($t, $chat, said(escaped($text)), 'X-API-Key: key-a'), qr/^HTTP\/2 $wanted/, "HTTP/2: $wanted");
}

# What is said in an extension of a chunk, or behind the last one, isn't passed on.

my $id = new_id();
my $sent = request("POST $chat", 'Content-Type: application/json', 'Transfer-Encoding: chunked', 'X-API-Key: key-a',
	"X-Request-ID: $id") . sprintf("%x;k=%s\r\n%s\r\n0\r\nX-Key: %s\r\n\r\n", length said('hi'), $secret, said('hi'), $secret);
is(status(ask($sent)), 200, 'beside the body');
is(engine_body(8081, $id), said('hi'), 'the engine gets the body alone');

unlike($t->read_file('audit.log'), qr/$secret|jo\@acme/, 'nothing of it in the log');

###############################################################################

sub said {
	my ($text) = @_;
	return qq({"model":"m","messages":[{"role":"user","content":"$text"}]});
}

sub said_in {
	my ($parts) = @_;
	return qq({"model":"m","messages":[{"role":"user","content":[$parts]}]});
}

sub called {
	my ($arguments) = @_;
	return qq({"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":)
		. qq([{"id":"c","type":"function","function":{"name":"f","arguments":"$arguments"}}]}]});
}

# A member that is not known.
sub more {
	my ($value) = @_;
	return qq({"model":"m","messages":[{"role":"user","content":"hi"}],"later":$value});
}

# The same under this name.
sub more_as {
	my ($name, $value) = @_;
	return qq({"model":"m","messages":[{"role":"user","content":"hi"}],"$name":$value});
}

sub escaped {
	my ($text) = @_;
	return join '', map { sprintf '\\u%04x', ord } split //, $text;
}

###############################################################################
