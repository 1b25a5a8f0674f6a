#!/usr/bin/perl

# Where the clients of a key and of a tier may come from: cidrs and deny_cidrs. Both must allow, deny_cidrs
# wins, the address is realip's, and an IPv4-mapped one is the IPv4 address.

use warnings;
use strict;

use Test::More;

use Socket qw/ SOCK_STREAM /;
use IO::Socket::UNIX;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get keys_file status /;
use Tollgate::Client;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite realip http_v2/)->has_daemon('curl');
$t->plan(88);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_tier       free { }
    tollgate_tier       office {
        cidrs      10.0.0.0/8 ::ffff:203.0.113.0/120 2001:db8::/32;
        deny_cidrs 10.1.0.0/16 ::ffff:10.2.0.1 2001:db8:bad::/48;
    }
    tollgate_tier       without { deny_cidrs 10.1.0.0/16; }
    tollgate_tier       elsewhere { cidrs 192.0.2.0/24; }
    tollgate_api_keys   keys.json;
    tollgate_endpoints  +*:/*;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    set_real_ip_from  127.0.0.1;
    set_real_ip_from  unix:;
    real_ip_header    X-Real-IP;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 %%HTTP2%%;
        listen       unix:%%TESTDIR%%/socket;
        server_name  localhost;
        %%HTTP2_ON%%

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /plain/ {
            real_ip_header X-Nothing;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /tried/ {
            tollgate_default_tier elsewhere;
            try_files /no/such/file @backend;
        }

        location @backend {
            tollgate_default_tier office;
            proxy_pass http://127.0.0.1:8081;
        }

        location /ping {
            tollgate off;
            return 204;
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

EOF

my $is_new = $t->has_version('1.25.1');
$conf =~ s/%%HTTP2%%/$is_new ? '' : 'http2'/e;
$conf =~ s/%%HTTP2_ON%%/$is_new ? 'http2 on;' : ''/e;

my %free = (client => 'acme', tier => 'free');
my %office = (client => 'acme', tier => 'office');
my @keys = (
	{ %free, key => 'tg_free', id => 'k_free' },
	{ %free, key => 'tg_allow', cidrs => ['192.0.2.0/24', '::ffff:198.51.100.0/120'] },
	{ %free, key => 'tg_deny', deny_cidrs => ['10.0.0.0/8', '::ffff:192.0.2.9'] },
	{ %free, key => 'tg_both', cidrs => ['10.0.0.0/8'], deny_cidrs => ['10.1.0.0/16'] },
	{ %office, key => 'tg_office' },
	{ %office, key => 'tg_narrow', cidrs => ['10.3.0.0/16', '192.0.2.0/24'] },
	{ %office, key => 'tg_narrower', deny_cidrs => ['10.3.0.0/16'] },
	{ client => 'acme', tier => 'without', key => 'tg_without' },
	{ client => 'acme', key => 'tg_default', id => 'k_default', tier => 'free' },
);
$t->write_file('keys.json', keys_file(@keys));
$t->write_file_expand('nginx.conf', $conf);
$t->run();

###############################################################################

# Not the test itself: a sub that knows it keeps it beyond its end.
my $socket_path = $t->testdir() . '/socket';

# By key and address: the cause, or nothing where it is good. Each network has a neighbour beside it.

my @cases = (
	['tg_free', '10.1.0.1', ''],
	['tg_free', '2001:db8::1', ''],
	['tg_allow', '192.0.2.0', ''],
	['tg_allow', '192.0.2.255', ''],
	['tg_allow', '192.0.3.0', 'outside_cidrs'],
	['tg_allow', '192.0.1.255', 'outside_cidrs'],
	['tg_allow', '198.51.100.7', ''],
	['tg_allow', '198.51.101.7', 'outside_cidrs'],
	['tg_allow', '2001:db8::1', 'outside_cidrs'],
	['tg_deny', '9.255.255.255', ''],
	['tg_deny', '10.0.0.0', 'in_deny_cidrs'],
	['tg_deny', '10.255.255.255', 'in_deny_cidrs'],
	['tg_deny', '11.0.0.0', ''],
	['tg_deny', '192.0.2.9', 'in_deny_cidrs'],
	['tg_deny', '192.0.2.8', ''],
	['tg_deny', '2001:db8::1', ''],
	['tg_both', '10.0.255.255', ''],
	['tg_both', '10.1.0.0', 'in_deny_cidrs'],
	['tg_both', '192.0.2.1', 'outside_cidrs'],
	['tg_office', '10.0.0.1', ''],
	['tg_office', '10.1.0.1', 'in_deny_cidrs_of_tier'],
	['tg_office', '10.2.0.1', 'in_deny_cidrs_of_tier'],
	['tg_office', '10.2.0.2', ''],
	['tg_office', '203.0.113.255', ''],
	['tg_office', '203.0.114.0', 'outside_cidrs_of_tier'],
	['tg_office', '2001:db8:1::1', ''],
	['tg_office', '2001:db8:bad::1', 'in_deny_cidrs_of_tier'],
	['tg_office', '2001:db9::1', 'outside_cidrs_of_tier'],
	['tg_narrow', '10.3.0.1', ''],
	['tg_narrow', '10.4.0.1', 'outside_cidrs'],
	['tg_narrow', '192.0.2.1', 'outside_cidrs_of_tier'],
	['tg_narrower', '10.4.0.1', ''],
	['tg_narrower', '10.3.0.1', 'in_deny_cidrs'],
	['tg_without', '10.1.255.255', 'in_deny_cidrs_of_tier'],
	['tg_without', '10.2.0.0', ''],
);
my $count = 0;
for my $case (@cases) {
	my ($key, $address, $cause) = @$case;
	for my $written ($address, $address =~ /:/ ? () : "::ffff:$address") {
		is(status(from($key, $written)), $cause ? 403 : 200, "$key from $written");
		$count++;
	}
}

my $r = from('tg_office', '10.1.0.1');
like(http_content($r), qr/not allowed to use this API with this credential from this place/, 'nothing is told of lists');

# a UNIX-domain socket

for my $case (['tg_free', 200], ['tg_allow', 403], ['tg_deny', 403], ['tg_office', 403], ['tg_without', 403]) {
	my ($key, $status) = @$case;
	is(status(by_socket($key)), $status, "$key by a UNIX-domain socket");
}
is(status(by_socket('tg_office', 'X-Real-IP: 10.0.0.1')), 200, 'with realip');
is(status(by_socket('tg_office', 'X-Real-IP: 10.1.0.1')), 403, 'with realip, denied');

# HTTP/2

my $url = 'http://127.0.0.1:' . port(8082) . '/v1/models';
my @h2 = ('--http2-prior-knowledge', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'X-API-Key: tg_office', $url);
is(curl(@h2, '-H', 'X-Real-IP: 10.0.0.1'), '200', 'HTTP/2');
is(curl(@h2, '-H', 'X-Real-IP: 10.1.0.1'), '403', 'HTTP/2: denied');

# a dry run

is(http_content(from('tg_office', '10.1.0.1', '/dry/')), 'client=acme', 'dry run');

###############################################################################

# A key that moves to another tier while its request waits for its body.

my @moved = map { +{ %$_ } } @keys;
$moved[0]{tier} = 'elsewhere';
my $body = '{"model":"m","prompt":"x"}';
my $connection = connection();
$connection->send(request('POST /v1/completions', 'X-API-Key: tg_free', 'X-Real-IP: 10.0.0.1',
	'Content-Type: application/json', 'Content-Length: ' . length $body));
$connection->send(substr $body, 0, 5);
ping();
$t->write_file('new.json', keys_file(@moved));
rename $t->testdir() . '/new.json', $t->testdir() . '/keys.json';
poll { status(from('tg_free', '10.0.0.1')) == 403 };
$connection->send(substr $body, 5);
is(status($connection->answer()), 403, 'moved to a tier that is not open there, while it waits');
is(status(from('tg_free', '192.0.2.1')), 200, 'and to one that is open elsewhere');

###############################################################################

$t->stop();
my @lines = grep { $_->{path} eq '/v1/models' && ($_->{status} == 403) } audit_lines($t, 'audit.log');
my %causes = map { $_->{detail} => 1 } @lines;
is(join(' ', grep { !$causes{$_} } qw/outside_cidrs in_deny_cidrs no_address outside_cidrs_of_tier
	in_deny_cidrs_of_tier no_address_for_tier/), '', 'log: each cause');
ok(!(grep { $_->{reason} ne 'address_denied' } @lines), 'log: the reason');
my %by_address = map { ("$_->{remote_addr}" => $_->{detail}) } grep { $_->{remote_addr} =~ /^10\.1\.0\.1$/ } @lines;
ok($by_address{'10.1.0.1'}, 'log: the address of realip');

###############################################################################

# what nginx -t says

$t->write_file('good.json', keys_file({ key => 'k', client => 'c', tier => 'free' }));
my @on = (location => "tollgate on;\ntollgate_api_keys good.json;");
my $zone = 'tollgate_zone zone=tollgate:1m;';
check_refused($t, $_) for (
	['host bits', ['"10.0.0.1/8" of "cidrs" has bits set below its prefix', 'tollgate_tier free'],
		@on, http => "$zone tollgate_tier free {\ncidrs 10.0.0.1/8; # !\n}"],
	['no network', ['"nowhere" of "deny_cidrs" is not an address', 'tollgate_tier free'],
		@on, http => "$zone tollgate_tier free {\ndeny_cidrs nowhere; # !\n}"],
	['twice', ['duplicate'], @on, http => "$zone tollgate_tier free { cidrs 10.0.0.0/8;\ncidrs 11.0.0.0/8; # !\n}"],
	['allowed and denied', ['"10.1.0.0/16" of "cidrs" has no effect', '"10.0.0.0/8" of "deny_cidrs"'],
		@on, http => "$zone tollgate_tier free { cidrs 192.0.2.0/24 10.1.0.0/16; deny_cidrs 10.0.0.0/8;\n} # !"],
	['of a model', ['"cidrs" belongs to the tier'],
		@on, http => "$zone tollgate_tier free { model a { requests 1r/s;\ncidrs 10.0.0.0/8; # !\n} }"],
	['a key', ['key "k_1": field "deny_cidrs" has an element [0]'], http => "$zone tollgate_tier free { }",
		location => "tollgate on;\ntollgate_api_keys bad.json; # !",
		files => { 'bad.json' => keys_file({ key => 'k', client => 'c', tier => 'free', deny_cidrs => ['x'] }) }],
);
check_accepted($t, ['all of it', @on, http => "$zone tollgate_tier free { cidrs 10.0.0.0/8 ::1; deny_cidrs 10.1.0.0/16; }"]);

###############################################################################

sub from {
	my ($key, $address, $uri) = @_;
	return get($uri // '/v1/models', "X-API-Key: $key", "X-Real-IP: $address");
}

sub by_socket {
	my ($key, @lines) = @_;
	my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $socket_path)
		or die "Can't connect: $!\n";
	return http(join("\r\n", 'GET /v1/models HTTP/1.0', 'Host: localhost', "X-API-Key: $key", @lines, '', ''),
		socket => $socket);
}

###############################################################################
