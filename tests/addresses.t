#!/usr/bin/perl

# From how many networks a key is used within an hour: addresses of a tier. An alert is told of in the logs, a refusal
# is for further networks alone: who was first stays.

use warnings;
use strict;
use utf8;

use Test::More;

use MIME::Base64 qw/ encode_base64url /;
use Socket qw/ SOCK_STREAM /;
use IO::Socket::UNIX;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header hs256 keys_file status /;
use Tollgate::Client;
use Tollgate::Conf;
use Tollgate::Metrics;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite realip http_v2/)->has_daemon('curl');
$t->plan(125);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_tier          free { }
    tollgate_tier          watched { addresses 2/h; }
    tollgate_tier          kept { addresses 2/h refuse; }
    tollgate_tier          office { addresses 1/h refuse; deny_cidrs 10.9.0.0/16; }
    tollgate_tier          spent { addresses 1/h; requests 1r/d; }
    tollgate_api_keys      keys.json;
    tollgate_jwt_key_file  jwt.jwks;
    tollgate_auth          api_key jwt;
    tollgate_endpoints     +*:/*;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

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
        add_header X-Decision "$tollgate_decision $tollgate_reason" always;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        # The last of these judges, and the key comes from where it comes from.
        location /led/ {
            tollgate_default_tier free;
            try_files /no/such/file @backend;
        }

        location @backend {
            proxy_pass http://127.0.0.1:8081;
        }

        location /metrics {
            tollgate off;
            tollgate_metrics clients=3;
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

my $odd = qq/<b>"q"\x{202e}/ . 'y' x 200;
my $secret = 'x' x 32;
my @keys = (
	{ key => 'tg_free', client => 'acme', tier => 'free' },
	{ key => 'tg_watched', id => 'k_watched', client => 'acme', tier => 'watched' },
	{ key => 'tg_other', id => 'k_other', client => 'acme', tier => 'watched' },
	{ key => 'tg_odd', id => 'k_odd', client => $odd, tier => 'watched' },
	map({ +{ key => "tg_$_", id => "k_$_", client => 'acme', tier => 'kept' } } qw/kept dry h2 led moved by_socket/),
	{ key => 'tg_office', id => 'k_office', client => 'acme', tier => 'office' },
	{ key => 'tg_spent', id => 'k_spent', client => 'spent', tier => 'spent' },
);
$t->write_file('keys.json', keys_file(@keys));
$t->write_file('jwt.jwks', '{"keys":[' . join(',', map {
	qq/{"kty":"oct","kid":"$_","alg":"HS256","k":"/ . encode_base64url($secret) . '"}' } qw/one two/) . ']}');
$t->write_file_expand('nginx.conf', $conf);
$t->run();

# Not the test itself: a sub that knows it keeps it beyond its end.
my $socket_path = $t->testdir() . '/socket';

###############################################################################

my %room = (part => 'addresses', state => 'used');
is(sum(metrics(), 'tollgate_zone_slots', %room), 0, 'no key takes room');

# An alert lets everybody in.

my @from = ('192.0.2.1', '192.0.2.255', '2001:db8:1::1', '2001:db8:1:ffff::1', '::ffff:192.0.2.7');
is(status(from('tg_watched', $_)), 200, "alert: $_") for @from;
is(status(from('tg_watched', '198.51.100.1', '/third/')), 200, 'alert: from a third network');
is(sum(metrics(), 'tollgate_zone_slots', %room), 1, 'one does');
cmp_ok(sum(metrics(), 'tollgate_zone_slots', %room, state => 'free'), '>', 3000, 'of many');
is(status(from('tg_watched', '192.0.2.1', '/first/')), 200, 'alert: from the first one again');
is(status(from('tg_other', $_, '/other/')), 200, "alert: another key from $_") for '192.0.2.1', '203.0.113.1';
is(status(from('tg_odd', "10.0.$_.1", '/odd/')), 200, "alert: from 10.0.$_.0") for 1 .. 3;

# A refusal is for further networks.

is(decision('tg_kept', '192.0.2.1'), '200 allow', 'refuse: the first network');
is(decision('tg_kept', '2001:db8:1::1'), '200 allow', 'refuse: the second one');
my $r = from('tg_kept', '198.51.100.1', '/refused/');
is(status($r), 403, 'refuse: a third one');
is(header($r, 'X-Decision'), 'deny addresses_exceeded', 'refuse: the reason');
like(http_content($r), qr/"code":"access_denied"/, 'refuse: the code');
unlike(http_content($r), qr/network|address/, 'refuse: nothing is told of networks');
is(header($r, 'Retry-After'), undef, 'refuse: nobody is told to try again');
is(decision('tg_kept', "198.51.$_.1", '/refused/'), '403 deny addresses_exceeded', "refuse: from 198.51.$_.0") for 1 .. 9;
is(decision('tg_kept', '192.0.2.200'), '200 allow', 'refuse: who was first stays');
is(decision('tg_kept', '2001:db8:1:2::1'), '200 allow', 'refuse: so does the second');
is(decision('tg_free', "198.51.$_.1"), '200 allow', "without: from 198.51.$_.0") for 1 .. 5;

# What doesn't get as far doesn't count.

is(decision('tg_office', '10.9.0.1'), '403 deny address_denied', 'from where the tier is closed');
is(decision('tg_wrong', '10.8.0.1'), '401 deny invalid_credential', 'a wrong key');
is(decision('tg_office', '10.7.0.1'), '200 allow', 'neither counts');
is(decision('tg_office', '10.6.0.1'), '403 deny addresses_exceeded', 'but this one does');

# Who is refused for another reason has shown his key all the same.

is(decision('tg_spent', '10.1.0.1'), '200 allow', 'a request');
is(decision('tg_spent', '10.2.0.1', '/spent/'), '429 deny requests_exceeded', 'none is left');

# Tokens: by client, whichever key the issuer has.

is(decision(token('one'), '10.1.0.1', '/', 'bearer'), '200 allow', 'a token');
is(decision(token('two'), '10.2.0.1', '/', 'bearer'), '200 allow', 'a token that another key signed');
is(decision(token('one'), '10.3.0.1', '/', 'bearer'), '403 deny addresses_exceeded', 'a token from a third network');
is(decision(token('two'), '10.1.0.1', '/', 'bearer'), '200 allow', 'and from the first again');
is(decision(token('one', 'another'), '10.3.0.1', '/', 'bearer'), '200 allow', 'a token of another client');

# A UNIX-domain socket is no network.

is(status(by_socket('tg_by_socket')), 200, 'by a UNIX-domain socket');
is(status(by_socket('tg_by_socket', "X-Real-IP: 10.1.$_.1")), $_ < 3 ? 200 : 403, "with realip, $_") for 1 .. 3;
is(status(by_socket('tg_by_socket')), 200, 'by a UNIX-domain socket, still');

# HTTP/2

my $url = 'http://127.0.0.1:' . port(8082) . '/';
my @h2 = ('--http2-prior-knowledge', '-o', '/dev/null', '-w', '%{http_code} %{http_version}', '-H', 'X-API-Key: tg_h2', $url);
is(curl(@h2, '-H', "X-Real-IP: 10.$_.0.1"), ($_ < 3 ? 200 : 403) . ' 2', "HTTP/2, $_") for 1 .. 3;
is(curl(@h2, '-H', 'X-Real-IP: 10.1.0.9'), '200 2', 'HTTP/2, the first again');

# A dry run lets in, and remembers what would have been.

is(decision('tg_dry', "10.$_.0.1", '/dry/'), '200 allow', "dry run, $_") for 1 .. 2;
is(decision('tg_dry', '10.3.0.1', '/dry/'), '200 deny addresses_exceeded', 'dry run, 3');
is(http_content(from('tg_dry', '10.4.0.1', '/dry/')), 'client=acme', 'dry run: to the backend, as who it is');
is(decision('tg_dry', '10.3.0.1'), '403 deny addresses_exceeded', 'without one');

# A request that is led on counts once.

is(decision('tg_led', '10.1.0.1', '/led/'), '200 allow', 'led on');
is(decision('tg_led', '10.2.0.1', '/led/'), '200 allow', 'led on, from a second network');
is(decision('tg_led', '10.3.0.1', '/led/'), '403 deny addresses_exceeded', 'led on, from a third');

###############################################################################

# A reload keeps what was seen, and other limits hold at once.

is(decision('tg_moved', "10.$_.0.1"), $_ < 3 ? '200 allow' : '403 deny addresses_exceeded', "before, $_") for 1 .. 3;
reload_with($t, 'kept { addresses 3/h refuse; }');
is(decision('tg_moved', '10.3.0.1'), '200 allow', 'a larger limit');
is(decision('tg_moved', '10.4.0.1'), '403 deny addresses_exceeded', 'which is one');
reload_with($t, 'kept { addresses 1/h refuse; }');
is(decision('tg_moved', "10.$_.0.1", '/smaller/'), '200 allow', "a smaller limit: $_ goes on") for 1 .. 3;
is(decision('tg_moved', '10.4.0.1'), '403 deny addresses_exceeded', 'a smaller limit: no further ones');
reload_with($t, 'kept { }');
is(decision('tg_moved', "10.$_.0.1", '/none/'), '200 allow', "no limit, $_") for 4 .. 6;
reload_with($t, 'kept { addresses 2/h refuse; }');
is(decision('tg_moved', '10.1.0.1'), '200 allow', 'the limit again: 10.1.0.1');
is(decision('tg_moved', '10.6.0.1'), '403 deny addresses_exceeded', 'what came without a limit was not seen');

###############################################################################

# The metrics: the keys that are used from most networks, and how many requests were of such that are used from too many.

my $metrics = get('/metrics');
my %networks = $metrics =~ /^tollgate_key_networks\{client="(?:acme|[^"]|\\")*",key_id="(\w*)"\} (\d+)/mg;
is(scalar(keys %networks), 3, 'metrics: so many keys');
ok(!(grep { $_ < 3 } values %networks), 'metrics: those with most networks');
my %exceeded = $metrics =~ /^tollgate_key_networks_exceeded_total\{tier="(\w+)"\} ([1-9]\d*)$/mg;

###############################################################################

$t->stop();
my @lines = audit_lines($t, 'audit.log');
my %by_path;
push @{$by_path{"$_->{path}"}}, $_ for @lines;
ok(!(grep { exists $_->{networks} } grep { ($_->{key_id} // '') eq 'k_watched' && $_->{path} eq '/' } @lines),
	'log: nothing of keys that keep to it');
is($by_path{'/third/'}[0]{networks}, 3, 'log: a third network');
is($by_path{'/third/'}[0]{decision}, 'allow', 'log: which is let in');
is($by_path{'/first/'}[0]{networks}, 3, 'log: of others as well then');
ok(!(grep { exists $_->{networks} } @{$by_path{'/other/'}}), 'log: not of another key');
my ($refused) = @{$by_path{'/refused/'}};
is_deeply([@$refused{qw/reason limit remaining networks remote_addr/}],
	['addresses_exceeded', 'addresses 2/h', 0, 3, '198.51.100.1'], 'log: a refusal');
ok(!exists $refused->{detail}, 'log: which has one cause');
is($by_path{'/spent/'}[0]{networks}, 2, 'log: of a refusal for another reason');
is($by_path{'/smaller/'}[0]{networks}, 3, 'log: more than a limit that became smaller');
ok(!(grep { exists $_->{networks} } @{$by_path{'/none/'}}), 'log: nothing without a limit');
is((grep { ($_->{reason} // '') eq 'addresses_exceeded' and $_->{dry_run} } @lines), 2, 'log: a dry run');

my %logged;
$logged{$_->{tier}}++ for grep { exists $_->{networks} } @lines;
is_deeply(\%exceeded, \%logged, 'metrics: as many requests as the log has');

# Of each key once an hour.
my @errors = grep { /networks within an hour/ } split /\n/, $t->read_file('error.log');
my $more = qr/is used from 3 networks within an hour, more than "addresses 2\/h" of tollgate_tier/;
is((grep { /the key "k_watched" of client "acme" $more "watched" allows/ } @errors), 1, 'error log: an alert');
is((grep { /the key "k_kept" of client "acme" $more "kept" allows/ } @errors), 1, 'error log: refusals');
is((grep { /a credential of client "tokens" $more/ } @errors), 1, 'error log: tokens');
is((grep { /k_moved/ } @errors), 1, 'error log: not again after a reload');
is((grep { /k_other|k_free/ } @errors), 0, 'error log: nothing of others');
my ($of_odd) = grep { /k_odd/ } @errors;
like($of_odd, qr/client "<b>\\"q\\"\\u\{202e\}y{200}"/, 'error log: an odd name is quoted');
ok(!(grep { !/\[error\]/ } @errors), 'error log: the level');
ok(!(grep { /tg_|$secret/ } @errors), 'error log: no key');

###############################################################################

# what nginx -t says

$t->write_file('good.json', keys_file({ key => 'k', client => 'c', tier => 'free' }));
my @on = (location => "tollgate on;\ntollgate_api_keys good.json;");
my $zone = 'tollgate_zone zone=tollgate:1m;';
my $range = 'it takes 1 to 255 networks an hour, as in "8/h"';
my $by_hour = 'networks are counted by the hour, as in "8/h"';
my $words = 'behind the number it takes "alert" or "refuse", once';
for my $case (
	['0/h', "invalid \"0/h\" of \"addresses\": $range"], ['256/h', $range], ['-1/h', $range], ['8r/h', $range],
	['8/m', "invalid \"8/m\" of \"addresses\": $by_hour"], ['8', $by_hour], ['10.0.0.0/8', $by_hour],
	['8/h deny', "invalid \"deny\" of \"addresses\": $words"], ['8/h alert refuse', "invalid \"refuse\""],
) {
	my ($what, $message) = @$case;
	check_refused($t, [$what, [$message, 'tollgate_tier free'], @on,
		http => "$zone tollgate_tier free {\naddresses $what; # !\n}"]);
}
check_refused($t, $_) for (
	['nothing', ['invalid number of arguments'], @on, http => "$zone tollgate_tier free {\naddresses; # !\n}"],
	['twice', ['duplicate'], @on, http => "$zone tollgate_tier free { addresses 8/h;\naddresses 9/h; # !\n}"],
	['of a model', ['"addresses" belongs to the tier'],
		@on, http => "$zone tollgate_tier free { model a { requests 1r/s;\naddresses 8/h; # !\n} }"],
	['elsewhere', ['"addresses" directive is not allowed here'], @on,
		http => "$zone tollgate_tier free { }\naddresses 8/h; # !"],
);
check_accepted($t, $_) for (
	['an alert', @on, http => "$zone tollgate_tier free { addresses 8/h alert; }"],
	['a refusal', @on, http => "$zone tollgate_tier free { addresses 255/h refuse; }"],
	['before the zone', @on, http => "tollgate_tier free { addresses 1/h; } $zone"],
	['the smallest zone', @on, http => "tollgate_zone zone=tollgate:64k; tollgate_tier free { addresses 1/h; }"],
	['nothing protected', location => 'return 204;', http => 'tollgate_tier free { addresses 1/h; }'],
);

###############################################################################

sub from {
	my ($key, $address, $uri, $is_token) = @_;
	my $line = $is_token ? "Authorization: Bearer $key" : "X-API-Key: $key";
	return get($uri // '/', $line, "X-Real-IP: $address");
}

sub decision {
	my $response = from(@_);
	return status($response) . ' ' . (header($response, 'X-Decision') // '') =~ s/ +$//r;
}

sub token {
	my ($kid, $client) = @_;
	my %claims = (sub => $client // 'tokens', tier => 'kept', exp => time() + 600);
	return hs256($secret, \%claims, kid => $kid);
}

sub by_socket {
	my ($key, @lines) = @_;
	my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $socket_path)
		or die "Can't connect: $!\n";
	return http(join("\r\n", 'GET / HTTP/1.0', 'Host: localhost', "X-API-Key: $key", @lines, '', ''),
		socket => $socket);
}

sub reload_with {
	my ($test, $tier) = @_;
	$test->write_file_expand('nginx.conf', $conf =~ s/kept \{.*?\}/$tier/r);
	reload_and_wait($test);
}

###############################################################################
