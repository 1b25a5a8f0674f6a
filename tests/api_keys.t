#!/usr/bin/perl

# API keys: what counts as presenting one, which are good, and what the client of a bad one learns.

use warnings;
use strict;

use Test::More;

use POSIX qw/ strftime /;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get get_with header headers keys_file status /;
use Tollgate::Client qw/ poll reload_and_wait /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(149);

my $has_realip = $t->has_module('realip');
my $has_http2 = $t->has_module('http_v2');

# A socket that takes IPv4 clients as ::ffff:127.0.0.1 has the test on it only where there is IPv6.
my $has_ipv6 = eval {
	require IO::Socket::IP;
	IO::Socket::IP->new(LocalHost => '::', LocalPort => 0, Listen => 1, V6Only => 0);
};

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { }
    tollgate_api_keys  keys.json;

    large_client_header_buffers 4 16k;
    add_header X-Reason $tollgate_reason always;

    server {
        listen       127.0.0.1:8080;
        %%LISTEN_IPV6%%
        %%LISTEN_HTTP2%%
        server_name  localhost;

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /open {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        # places of their own inside of nginx
        location /inner {
            if ($arg_if) {
                set $nothing 1;
                proxy_pass http://127.0.0.1:8081;
            }
            limit_except GET {
                deny 192.0.2.1;
            }
            proxy_pass http://127.0.0.1:8081;
        }

        location ~ ^/inner/(?<name>.*)$ {
            proxy_pass http://127.0.0.1:8081;
        }

        location /tried {
            try_files /no/such/file @named;
        }

        location @named {
            proxy_pass http://127.0.0.1:8081;
        }

        location /others {
            tollgate_api_keys others.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /realip/ {
            %%REALIP%%
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "client=$http_x_client_id";
        }
    }
}

EOC

my $listen_http2 = $t->has_version('1.25.1')
	? 'listen 127.0.0.1:8083; http2 on;' : 'listen 127.0.0.1:8083 http2;';
my $listen_ipv6 = 'listen [::]:%%PORT_8082%% ipv6only=off;';
my $realip = 'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;';
$conf =~ s/%%LISTEN_IPV6%%/$has_ipv6 ? $listen_ipv6 : ''/e;
$conf =~ s/%%LISTEN_HTTP2%%/$has_http2 ? $listen_http2 : ''/e;
$conf =~ s/%%REALIP%%/$has_realip ? $realip : ''/e;

# What a key looks like doesn't matter: these are keys that others made.
my %imported = (
	'dots' => 'sk-live.abc.DEF',
	'the shape of a token' => 'eyJhbGciOiJub25lIn0.e30.c2ln',
	'a blank in it' => 'two words',
	'punctuation' => q{!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~},
	'bytes beyond ASCII' => "cl\xc3\xa9-\xff",
	'a comma' => 'one,two',
	'one byte' => 'x',
	'4096 bytes' => 'L' x 4096,
);

my $good = 'tg_Good-0123456789abcdefghijklmnopqrstuvwxyzABCDE';
my @imported = sort keys %imported;
my %refused = (
	unknown => ['tg_nobody', 'invalid_credential'],
	expired => ['tg_expired', 'expired_credential'],
	'not yet valid' => ['tg_early', 'not_yet_valid'],
	disabled => ['tg_disabled', 'revoked_credential'],
	'expired, from elsewhere' => ['tg_expired_elsewhere', 'expired_credential'],
	'disabled, from elsewhere' => ['tg_disabled_elsewhere', 'revoked_credential'],
	'4097 bytes' => ['L' x 4097, 'invalid_credential'],
);

my @short = (3, 8, 19);
my %acme = (client => 'acme', tier => 'free');
$t->write_file('keys.json', keys_file(
	{ %acme, key => $good, expires => '2999-12-31T23:59:59Z', not_before => '2001-01-01T00:00:00Z' },
	{ %acme, key => 'tg_other', disabled => JSON::PP::false() },
	{ %acme, key => 'tg_expired', expires => '2001-01-01T00:00:00Z' },
	{ %acme, key => 'tg_early', not_before => '2999-01-01T00:00:00+02:00' },
	{ %acme, key => 'tg_disabled', disabled => JSON::PP::true() },
	{ %acme, key => 'tg_here', cidrs => ['203.0.113.0/24', '127.0.0.0/8'] },
	{ %acme, key => 'tg_elsewhere', cidrs => ['203.0.113.0/24', '::/0'] },
	{ %acme, key => 'tg_ipv6', cidrs => ['2001:db8::/32'] },
	{ %acme, key => 'tg_mapped', cidrs => ['::ffff:203.0.113.0/120'] },
	{ %acme, key => 'tg_expired_elsewhere', cidrs => ['203.0.113.0/24'],
		expires => '2001-01-01T00:00:00Z' },
	{ %acme, key => 'tg_disabled_elsewhere', cidrs => ['203.0.113.0/24'],
		disabled => JSON::PP::true() },
	{ %acme, key => $refused{'4097 bytes'}[0] },
	map({ my $expires = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time() + $_));
		+{ %acme, key => "tg_short_$_", expires => $expires } } @short),
	map { +{ client => 'imported', tier => 'free', key => $imported{$_} } } @imported,
));
$t->write_file('others.json', keys_file({ key => 'tg_theirs', client => 'them', tier => 'free' }));
$t->write_file_expand('nginx.conf', $conf);
$t->run();

###############################################################################

# where a key may stand

is(http_content(get('/', "Authorization: Bearer $good")), 'client=acme', 'bearer');
is(http_content(get('/', "X-API-Key: $good")), 'client=acme', 'api key header');
is(http_content(get('/', "authorization: bearer $good")), 'client=acme', 'scheme in lower case');
is(http_content(get('/', "AUTHORIZATION: bEARER $good")), 'client=acme', 'scheme in mixed case');
is(http_content(get('/', "x-aPI-kEY: $good")), 'client=acme', 'header name in mixed case');
is(status(get('/', "Authorization: Bearer   $good")), 200, 'blanks after the scheme');
is(status(get('/', "X-API-Key:$good")), 200, 'no blank after the colon');
is(status(get('/open')), 200, 'off: no key asked for');

for my $what (@imported) {
	my $key = $imported{$what};
	is(http_content(get('/', "X-API-Key: $key")), 'client=imported', "$what, api key header");
	is(http_content(get('/', "Authorization: Bearer $key")), 'client=imported', "$what, bearer");
}

# all that is wrong with a key is told in the same words: no oracle

my $wrong = without_id(get('/', 'X-API-Key: tg_nobody'));
my $missing = without_id(get('/'));
my $challenge = 'Bearer realm="tollgate", error="invalid_token"';

for my $what (sort keys %refused) {
	my ($key, $reason) = @{$refused{$what}};
	my $r = get('/', "Authorization: Bearer $key");
	is(header($r, 'X-Reason'), $reason, "$what, reason in the log");
	is(without_id($r), $wrong, "$what, the one answer");
}

is(status($wrong), 401, 'wrong key, status');
is(header($wrong, 'WWW-Authenticate'), $challenge, 'wrong key, challenge');
is(header($wrong, 'Content-Type'), 'application/json', 'wrong key, type');
is(header($wrong, 'Content-Length'), length http_content($wrong), 'wrong key, length');
is_deeply([error($wrong)], ['invalid_request_error', 'invalid_api_key'], 'wrong key, error');
unlike($wrong, qr/tg_nobody|<html/i, 'wrong key, nothing else');

is(status($missing), 401, 'no key, status');
is(header($missing, 'WWW-Authenticate'), 'Bearer realm="tollgate"', 'no key, challenge');
is(http_content($missing), http_content($wrong), 'no key, same body');
is(header(get('/'), 'X-Reason'), 'missing_credential', 'no key, reason');

my $r = http("HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n");
is(status($r), 401, 'HEAD, status');
is(header($r, 'Content-Length'), length http_content($wrong), 'HEAD, length of what GET has');
is(http_content($r), '', 'HEAD, no body');
like(http("GET /\r\n"), qr/^\{"error":.*invalid_api_key/, 'HTTP/0.9, no key');

# what isn't a credential is not one that is wrong

for my $line ('X-API-Key:', 'X-API-Key:   ', 'Authorization:', 'Authorization: Basic YTpi',
	'Authorization: Digest username="a"', 'Authorization: Negotiate', 'Cookie: api_key=' . $good)
{
	# "Negotiate" alone has no blank after it, so it could be a key without a scheme.
	my $reason = $line =~ /Negotiate/ ? 'invalid_credential' : 'missing_credential';
	is(header(get('/', $line), 'X-Reason'), $reason, "'" . substr($line, 0, 26) . "'");
}

is(status(get("/?api_key=$good&access_token=$good")), 401, 'key in the query string');
is(status(get('/', 'Authorization: Basic YTpi', "X-API-Key: $good")), 200,
	'key beside another scheme');

# close is not enough

my @close = (
	['other case', 'X-API-Key: ' . swapped($good)],
	['other case, bearer', 'Authorization: Bearer ' . swapped($good)],
	['one byte less', 'X-API-Key: ' . substr($good, 0, -1)],
	['one byte more', "X-API-Key: ${good}A"],
	['a byte in front', "X-API-Key: A$good"],
	['a tab in front', "Authorization: Bearer \t$good"],
	['a tab behind', "Authorization: Bearer $good\t"],
	['a tab for the blank', "Authorization: Bearer\t$good"],
	['no blank', "Authorization: Bearer$good"],
	['no scheme', "Authorization: $good"],
	['scheme alone', 'Authorization: Bearer'],
	['scheme twice', "Authorization: Bearer Bearer $good"],
	['scheme in the api key header', "X-API-Key: Bearer $good"],
	['quoted', "Authorization: Bearer \"$good\""],
	['a comma behind', "Authorization: Bearer $good,"],
	['two in one line', "Authorization: Bearer $good, Bearer $good"],
	['percent-encoded', 'X-API-Key: ' . join '', map { sprintf '%%%02x', ord } split //, $good],
	['control byte', "X-API-Key: $good\x01"],
	['delete', "X-API-Key: $good\x7f"],
	['no-break space', "X-API-Key: $good\xc2\xa0"],
	['invalid UTF-8', "X-API-Key: $good\xff"],
	['underscores for dashes', "X_API_Key: $good"],
);

# The last one is left out of the request by nginx, as a name with underscores.
for (@close) {
	my ($what, $line) = @$_;
	is(status(get('/', $line)), 401, $what);
}

like(get('/', "X-API-Key: $good\0"), qr/^HTTP\/1\.\d 400 /, 'NUL is a bad request to nginx');
like(get('/', 'X-API-Key: ' . 'a' x 20000), qr/^HTTP\/1\.\d 400 /, 'more than the header buffers');

# no way around: whatever leads to a protected location, and whatever the method

for my $uri ('/inner', '/inner?if=1', '/inner/x', '/tried', '/others', '/open/..', '/open/../x',
	'/open/%2e%2e/x', '//open/../x', '/%6fpen/../x', '/OPEN', 'http://localhost/', '/x?/open',
	'/.', '/%00x')
{
	my @status = map { status(get($uri, @$_)) } [], ["X-API-Key: $good"];
	# The backend would be sent the dots.
	my $want = $uri =~ m!/%00x|/\.|%2e! ? '400 400' : $uri eq '/others' ? '401 401' : '401 200';
	is("@status", $want, "without a key, and with one, $uri");
}
for my $method (qw/POST PUT DELETE PATCH OPTIONS PROPFIND anything/) {
	my @status = map { status(http("$method / HTTP/1.0\r\nHost: localhost\r\n$_\r\n")) }
		'', "X-API-Key: $good\r\n";
	is("@status", $method eq 'anything' ? '400 400' : '401 200', "without a key, and with one, $method");
}
is(status(http("POST /inner HTTP/1.0\r\nHost: localhost\r\n\r\n")), 401, 'in limit_except');

# a worker remembers keys, but a key is still for its place and time

is(http_content(get('/others', 'X-API-Key: tg_theirs')), 'client=them', 'a key of another file');
is(status(get('/', 'X-API-Key: tg_theirs')), 401, 'and not of this one');
is(status(get('/', "X-API-Key: $good")), 200, 'a key of this file');
is(status(get('/others', "X-API-Key: $good")), 401, 'and not of the other one');

# Several, as the machine may be slow.
my ($short) = grep { status(get('/', "X-API-Key: $_")) == 200 } map { "tg_short_$_" } @short;
ok($short, 'a key that will expire soon');
ok(poll { status(get('/', "X-API-Key: $short")) == 401 }, 'and does') if $short;

# two credentials

is(status(get('/', "Authorization: Bearer $good", "X-API-Key: $good")), 200, 'the same twice');
is(status(get('/', ("X-API-Key: $good") x 2)), 200, 'the same twice, one name');
is(status(get('/', "X-API-Key: $good", 'X-API-Key:')), 200, 'an empty one beside it');

$r = get('/', "Authorization: Bearer $good", 'X-API-Key: tg_other');
is(status($r), 400, 'two good ones, status');
is_deeply([error($r)], ['invalid_request_error', 'invalid_request'], 'two good ones, error');
is(header($r, 'WWW-Authenticate'), undef, 'two good ones, no challenge');
is(status(get('/', 'X-API-Key: tg_nobody', "Authorization: Bearer $good")), 400, 'a wrong one first');
is(status(get('/', "X-API-Key: $good", 'X-API-Key: tg_other')), 400, 'two of one name');
is(status(get('/', ("X-API-Key: $good") x 30, 'X-API-Key: tg_other')), 400, 'the last of many');

# nginx itself refuses a second Authorization line, identical or not.
$r = get('/', "Authorization: Bearer $good", 'Authorization: Bearer tg_other');
is(status($r), 400, 'two authorizations');
$r = get('/', ("Authorization: Bearer $good") x 2);
is(status($r), 400, 'the same authorization twice');

# networks

is(status(get('/', 'X-API-Key: tg_here')), 200, 'inside of its network');
$r = get('/', 'X-API-Key: tg_elsewhere');
is(status($r), 403, 'outside of its networks, status');
is_deeply([error($r)], ['invalid_request_error', 'access_denied'], 'outside, error');
is(header($r, 'X-Reason'), 'address_denied', 'outside, reason');
is(status(get('/', 'X-API-Key: tg_elsewhere', 'X-Forwarded-For: 203.0.113.7',
	'X-Real-IP: 203.0.113.7')), 403, 'an address that anybody can claim');

SKIP: {
	skip 'no realip', 5 unless $has_realip;

	my $from = sub { status(get('/realip/', "X-Real-IP: $_[1]", "X-API-Key: $_[0]")) };
	is($from->('tg_elsewhere', '203.0.113.7'), 200, 'realip, inside');
	is($from->('tg_here', '203.0.114.7'), 403, 'realip, outside');
	is($from->('tg_elsewhere', '::ffff:203.0.113.7'), 200, 'realip, mapped address');
	is($from->('tg_mapped', '203.0.113.7'), 200, 'realip, mapped network');
	is($from->('tg_ipv6', '2001:db8:1::7') . $from->('tg_ipv6', '2001:db9::7'), '200403',
		'realip, IPv6 inside and outside');
}

SKIP: {
	skip 'no IPv6', 2 unless $has_ipv6;

	my $from = sub {
		my ($key) = @_;
		my %here = (PeerAddr => '127.0.0.1:' . port(8082));
		return status(get_with('/', \%here, "X-API-Key: $key"));
	};
	is($from->('tg_here'), 200, 'mapped by the socket, inside');
	is($from->('tg_elsewhere'), 403, 'mapped by the socket, ::/0 is not everybody');
}

# connections stay in step: the body of a refused request is not the next request

my $smuggled = "GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: $good\r\n\r\n";
$r = http(
	"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " . length($smuggled) . "\r\n\r\n$smuggled"
	. "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
	. sprintf("%x\r\n%s\r\n0\r\n\r\n", length $smuggled, $smuggled)
	. "GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: $good\r\n\r\n"
	. "GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: tg_nobody\r\n\r\n"
	. "GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: $good\r\nConnection: close\r\n\r\n"
);
is(join(' ', $r =~ /HTTP\/1\.1 (\d+)/g), '401 401 200 401 200', 'HTTP/1.1, one connection');

SKIP: {
	skip 'no HTTP/2', 5 unless $has_http2;

	is(http2(["authorization: Bearer $good"], ["x-api-key: $good"]), '200 200', 'HTTP/2');
	is(http2([], ['x-api-key: tg_nobody'], ["x-api-key: $good"]), '401 401 200',
		'HTTP/2, one connection');
	is(http2(["x-api-key: $good", 'x-api-key: tg_other']), '400', 'HTTP/2, two credentials');
	is(http2([\$smuggled], [\$smuggled, "x-api-key: $good"], [], ["x-api-key: $good"]),
		'401 200 401 200', 'HTTP/2, unread body');

	skip 'no curl', 1 unless `curl -V 2>/dev/null` =~ /\bHTTP2\b/;

	my $url = 'http://127.0.0.1:' . port(8083) . '/';
	is(`curl -s --http2-prior-knowledge -H 'X-API-Key: tg_here' $url`, 'client=acme', 'curl');
}

# the file is read anew by a reload, and what was remembered goes

my $keys = $t->read_file('keys.json');
is(status(get('/', 'X-API-Key: tg_here')) . status(get('/', 'X-API-Key: tg_new')), '200401', 'before');
$t->write_file('keys.json', keys_file({ %acme, key => 'tg_new' },
	{ %acme, key => $good, disabled => JSON::PP::true() }));
reload_and_wait($t);
is(http_content(get('/', 'X-API-Key: tg_new')), 'client=acme', 'a key that was added');
is(status(get('/', 'X-API-Key: tg_here')), 401, 'a key that was taken away');
is(header(get('/', "X-API-Key: $good"), 'X-Reason'), 'revoked_credential', 'one that was disabled');

$t->write_file('keys.json', substr $keys, 0, -2);
$t->reload();
ok(poll { $t->read_file('error.log') =~ /\[emerg\].*"tollgate_api_keys".*keys\.json/ },
	'a broken file is refused');
is(status(get('/', 'X-API-Key: tg_new')), 200, 'and the old one holds');

###############################################################################

# A response without what differs from one to the next.
sub without_id {
	my ($r) = @_;
	my $id = qr/^x-request-id: [0-9a-f]{32}\r\n/m;
	return ($r // '') =~ s/$id//r =~ s/^(?:Date|X-Reason): .*?\r\n//mgr;
}

sub error {
	my ($r) = @_;
	my $error = (eval { JSON::PP::decode_json(http_content($r)) } // {})->{error} // {};
	return @$error{qw/type code/};
}

# The statuses of requests, each a list of header lines, and perhaps a reference to a body. They are
# sent at once, on one connection of HTTP/2 (RFC 9113). curl would do, but for the bodies: told that
# its body isn't wanted, curl 7.88 may drop the response.
sub http2 {
	my (@requests) = @_;

	my $frame = sub {
		my ($type, $flags, $stream, $payload) = @_;
		return pack('Cn CCN', 0, length $payload, $type, $flags, $stream) . $payload;
	};
	# Literals that aren't compressed (RFC 7541 section 6.2.2).
	my $text = sub { pack('C', length $_[0]) . $_[0] };

	my ($sent, $stream) = ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . $frame->(4, 0, 0, ''), -1);
	for my $request (@requests) {
		my ($body) = map { $$_ } grep { ref } @$request;
		my @fields = (':method: ' . ($body ? 'POST' : 'GET'), ':scheme: http', ':path: /',
			':authority: localhost', grep { !ref } @$request);
		my $fields = join '', map { /^(:?[^:]+): (.*)$/ or die; "\0" . $text->($1) . $text->($2) }
			@fields;
		$stream += 2;
		$sent .= $frame->(1, $body ? 4 : 5, $stream, $fields);
		$sent .= $frame->(0, 1, $stream, $body) if $body;
	}

	my $socket = http($sent, start => 1, PeerAddr => '127.0.0.1:' . port(8083));
	my (%status, %ended);
	eval {
		local $SIG{ALRM} = sub { die "timeout\n" };
		alarm 60;
		while (keys %ended < @requests) {
			read($socket, my $head, 9) == 9 or last;
			my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $head;
			my $length = $high << 16 | $low;
			my $payload = '';
			read($socket, $payload, $length) == $length or last if $length;
			# :status comes first: of the static table, or its name of that and a literal.
			$status{$stream} = $payload =~ /^\x88/ ? 200 : $payload =~ /^\x8c/ ? 400
				: $payload =~ /^\x48\x03(\d{3})/ ? $1 : '???' if $type == 1;
			$ended{$stream} = 1 if $type <= 1 && $flags & 1;
		}
		alarm 0;
	};
	alarm 0;
	return join ' ', map { $status{$_} // '-' } map { 2 * $_ + 1 } 0 .. $#requests;
}

sub swapped {
	my ($text) = @_;
	return $text =~ tr/a-zA-Z/A-Za-z/r;
}

###############################################################################
