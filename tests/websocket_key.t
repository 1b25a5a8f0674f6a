#!/usr/bin/perl

# Keys in Sec-WebSocket-Protocol: all that a page can say of itself when it opens a WebSocket. The key is taken
# off the list, the rest goes to the engine, and no key comes back.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ header headers hs256 keys_file status /;
use Tollgate::Client;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(83);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone            zone=tollgate:1m;
    tollgate_tier            free { }
    tollgate_api_keys        keys.json;
    tollgate_endpoints       +*:/*;
    tollgate_audit_log       %%TESTDIR%%/audit.log;
    tollgate_api_key_header  Authorization X-API-Key Sec-WebSocket-Protocol;
    tollgate_upgrade         allow;

    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    log_format protocols '$http_sec_websocket_protocol|$sent_http_sec_websocket_protocol';

    underscores_in_headers on;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

        access_log %%TESTDIR%%/protocols.log protocols;

        proxy_http_version 1.1;
        proxy_set_header   Upgrade    $http_upgrade;
        proxy_set_header   Connection $connection_upgrade;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /early/ {
            if ($http_sec_websocket_protocol = nothing) { return 400; }
            set $offered $http_sec_websocket_protocol;
            proxy_set_header Upgrade    $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Early    $http_sec_websocket_protocol;
            proxy_set_header X-Set      $offered;
            proxy_pass http://127.0.0.1:8081;
        }

        location /passes/ {
            tollgate_pass_credentials on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /no_upgrade/ {
            tollgate_upgrade deny;
            proxy_pass http://127.0.0.1:8081;
        }

        location /other/ {
            tollgate_api_key_header Authorization X-API-Key;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /any_of/ {
            satisfy any;
            allow all;
            proxy_pass http://127.0.0.1:8081;
        }

        location /pages/ {
            tollgate_cors https://app.example.com;
            proxy_pass http://127.0.0.1:8081;
        }

        location /pages/no_upgrade/ {
            tollgate_cors https://app.example.com;
            tollgate_upgrade deny;
            proxy_pass http://127.0.0.1:8081;
        }

        location /tried/ {
            try_files /no/such/file @backend;
        }

        location @backend {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(
	{ key => 'tg_good-0123456789abcdef', client => 'acme', tier => 'free' },
	{ key => 'tg_other', client => 'other', tier => 'free' },
	{ key => 'k', client => 'short', tier => 'free' },
));
$t->run_daemon(\&engine, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

my $prefix = 'openai-insecure-api-key.';
my $key = "${prefix}tg_good-0123456789abcdef";

# As OpenAI's package sends it, and in other places of the list. Each: what is offered, and what of it the engine
# is.
for my $case (
	["realtime, $key, openai-beta.realtime-v1", 'realtime, openai-beta.realtime-v1'],
	["$key,realtime", 'realtime'],
	["realtime,\t$key ,, ", 'realtime'],
	["realtime, OpenAI-Insecure-API-KEY.tg_good-0123456789abcdef", 'realtime'],
	["realtime, $key, openai-organization.o, $key", 'realtime, openai-organization.o'],
	[$key, ''],
) {
	my ($offered, $rest) = @$case;
	my $r = upgrade('/v1/realtime', $offered);
	is(status($r), 101, "$offered: in");
	is(seen($r, 'Client'), 'acme', "$offered: as its client");
	is(seen($r, 'Offered'), $rest, "$offered: the rest");
	is(header($r, 'Sec-WebSocket-Protocol') // '', ($rest =~ /^([^,]*)/)[0], "$offered: one of it is chosen");
}
is(seen(upgrade('/v1/realtime', ['realtime', $key, 'b']), 'Offered'), 'realtime, b', 'several lines');
is(seen(upgrade('/v1/realtime', "realtime, ${prefix}k, b"), 'Client'), 'short', 'a short key');
is(seen(upgrade('/v1/realtime', "realtime, $key", 'Authorization: Bearer tg_good-0123456789abcdef'), 'Client'), 'acme',
	'the same key twice');
is(seen(upgrade('/v1/realtime', 'realtime', 'Authorization: Bearer tg_good-0123456789abcdef'), 'Offered'), 'realtime',
	'a key elsewhere, and protocols');

# A credential that was sent elsewhere goes to no engine in this header, either.

for my $word ('tg_good-0123456789abcdef', 'x-key.tg_good-0123456789abcdef',
	'xopenai-insecure-api-key.tg_good-0123456789abcdef') {
	my $r = upgrade('/v1/realtime', "realtime, $word, b", 'Authorization: Bearer tg_good-0123456789abcdef');
	is(status($r) . ' ' . seen($r, 'Offered'), '101 realtime, b', "a second time: $word");
}
is(seen(upgrade('/v1/realtime', "realtime, k, kk", 'X-API-Key: k'), 'Offered'), 'realtime, kk', 'a second time: a short one');

# what isn't good

for my $case (
	['no key', 401, 'realtime'],
	['a wrong one', 401, "realtime, ${prefix}wrong"],
	['none behind the dot', 401, "realtime, $prefix"],
	['quoted', 401, "realtime, \"$key\""],
	['quoted in part', 401, "realtime, $prefix\"tg_good-0123456789abcdef\""],
	['quoted with a comma', 401, "\"realtime, $key, b\""],
	['a blank within', 401, "realtime $key"],
	['a blank behind the dot', 401, "realtime, $prefix tg_good-0123456789abcdef"],
	['a semicolon', 401, "realtime; $key"],
	['another prefix', 401, "realtime, x$key"],
	['without a prefix', 401, "realtime, tg_good-0123456789abcdef"],
	['two keys', 400, "realtime, $key, ${prefix}tg_other"],
	['two keys, one wrong', 400, "realtime, $key, ${prefix}wrong"],
) {
	my ($name, $status, $offered) = @$case;
	is(status(upgrade('/v1/realtime', $offered)), $status, $name);
}
is(status(upgrade('/v1/realtime', [$key, "${prefix}tg_other"])), 400, 'two keys, on two lines');
is(status(upgrade('/v1/realtime', $key, 'Authorization: Bearer tg_other')), 400, 'another one in Authorization');
is(status(upgrade('/v1/realtime', $key, 'X-API-Key: tg_other')), 400, 'another one in X-API-Key');
is(status(upgrade('/v1/realtime', "$key, \"x\"", 'X-API-Key: tg_good-0123456789abcdef')), 401,
	'what can\'t be read, beside a good one');
is(status(upgrade('/other/v1/realtime', $key)), 401, 'where no key is looked for there');
is(seen(upgrade('/other/v1/realtime', "realtime, $key", 'X-API-Key: tg_other'), 'Client'), 'other',
	'where none is looked for, it is no second one');

# whatever is read of the header

my $r = upgrade('/early/', "realtime, $key, b");
is(seen($r, 'Offered'), 'realtime, b', 'early: the rest');
is(seen($r, 'Early'), 'realtime, b', 'early: a variable of the header');
unlike(seen($r, 'Set'), qr/tg_good/, 'early: one of set');
$r = upgrade('/early/', "realtime, ${prefix}k, b");
is(seen($r, 'Early'), 'realtime, b', 'early: a variable of the header, a short key');
unlike(seen($r, 'Set'), qr/insecure/, 'early: one of set, a short key');
$r = upgrade('/v1/realtime', "realtime, $key", 'Sec_WebSocket_Protocol: ' . $key);
unlike($r, qr/tg_good/, 'another spelling');
$r = upgrade('/v1/realtime', "realtime, $key", 'X-Echo: openai-insecure-api-key.echoed');
is(header($r, 'Sec-WebSocket-Protocol'), undef, 'an engine that chooses a key');
unlike($r, qr/echoed/, 'and nothing of it comes back');

# where it goes

is(seen(upgrade('/passes/', "realtime, $key"), 'Offered'), "realtime, $key", 'tollgate_pass_credentials');
is(seen(upgrade('/tried/', "realtime, $key"), 'Offered'), 'realtime', 'another location');
is(seen(upgrade('/any_of/', "realtime, ${prefix}wrong"), 'Offered'), 'realtime', 'let in by another module');
is(seen(upgrade('/dry/', "realtime, ${prefix}wrong, \"$key\""), 'Offered'), 'realtime', 'a dry run');
$r = upgrade('/no_upgrade/', "realtime, $key");
is(status($r), 200, 'no WebSockets');
is(seen($r, 'Offered'), 'realtime', 'no WebSockets: no key for the engine, either');
$r = http(request('GET /v1/models', "Sec-WebSocket-Protocol: realtime, $key", 'Connection: close'));
is(seen($r, 'Client'), 'acme', 'a plain request');

# the page that it comes from

for my $case (
	['no page', 101],
	['a page that is let in', 101, 'https://app.example.com'],
	['a page of this host', 101, 'http://localhost'],
	['another page', 403, 'https://evil.example'],
	['another port of this host', 403, 'http://localhost:8080'],
	['no origin', 403, 'null'],
	['two', 403, 'https://app.example.com', 'https://app.example.com'],
) {
	my ($name, $status, @origins) = @$case;
	is(status(upgrade('/pages/', "realtime, $key", map { "Origin: $_" } @origins)), $status, "$name: $status");
}
is(status(upgrade('/pages/', 'realtime', 'Origin: https://evil.example')), 403, 'another page without a key');
is(status(upgrade('/pages/no_upgrade/', "realtime, $key", 'Origin: https://evil.example')), 200,
	'no WebSockets, no matter');
is(status(upgrade('/v1/realtime', "realtime, $key", 'Origin: https://evil.example')), 101, 'no pages, no matter');

$t->stop();
unlike($t->read_file('audit.log'), qr/tg_good|insecure/, 'the audit log has no key');
unlike($t->read_file('error.log'), qr/refused.*tg_good/, 'nor has what we say in the error log');
my @protocols = grep { !/wrong|"|;|tg_other/ } split /\n/, $t->read_file('protocols.log');
my %details = map { ($_->{detail} // '') => 1 } audit_lines($t, 'audit.log');
ok($details{odd_subprotocol} && $details{key_headers} && $details{key_header_and_authorization}, 'log: the causes');

###############################################################################

# what nginx -t says

my $on = $usual{location};
check_warned($t, ['no WebSockets', ['"Sec-WebSocket-Protocol" in "tollgate_api_key_header" has no effect',
	'"tollgate_upgrade allow;"'], location => "$on\ntollgate_api_key_header Sec-WebSocket-Protocol; # !"]);
check_accepted($t, ['WebSockets',
	location => "$on\ntollgate_api_key_header Sec-WebSocket-Protocol;\ntollgate_upgrade allow;"]);
check_refused($t, ['another header of WebSockets', ['"Sec-WebSocket-Key"', "can't hold a key"],
	location => "$on\ntollgate_api_key_header Sec-WebSocket-Key; # !"]);

###############################################################################

sub upgrade {
	my ($uri, $offered, @lines) = @_;
	my @offered = map { "Sec-WebSocket-Protocol: $_" } ref $offered ? @$offered : $offered;
	return http(join("\r\n", "GET $uri HTTP/1.1", 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket',
		@offered, @lines, '', "ping\r\n\r\n"));
}

# What the engine saw.
sub seen {
	my ($r, $name) = @_;
	return header($r, "X-Seen-$name") // 'nothing';
}

# Chooses the first protocol that is offered, or what X-Echo says.
sub engine {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		my $all = sub { join '; ', $head =~ /^\Q$_[0]\E: *(.*?)\x0d?$/mgi };
		my ($echo) = $head =~ /^X-Echo: (.*?)\x0d?$/mi;
		my $offered = $all->('Sec-WebSocket-Protocol');
		my ($chosen) = $echo // ($offered =~ /^([^,]*)/)[0];
		my @lines = ($head =~ /^Upgrade: websocket/mi
			? ('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: upgrade',
				length $chosen ? "Sec-WebSocket-Protocol: $chosen" : ())
			: ('HTTP/1.1 200 OK', 'Content-Length: 0', 'Connection: close'));
		push @lines, "X-Seen-Offered: $offered", 'X-Seen-Client: ' . $all->('X-Client-ID'),
			'X-Seen-Early: ' . $all->('X-Early'), 'X-Seen-Set: ' . $all->('X-Set');
		print $client join("\x0d\x0a", @lines, '', '');
		close $client;
	}
}

###############################################################################
