#!/usr/bin/perl

# "tollgate limit" at the socket of a real nginx: how a tollgate_limit stands for one address, tenant or other key, and
# that it begins anew for that one alone.

use warnings;
use strict;

use Test::More;

use JSON::PP qw//;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get keys_file status /;
use Tollgate::Client;
use Tollgate::Control;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();
my $cli = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $cli;

my $t = Test::Nginx->new()->has(qw/http proxy realip/)->plan(60);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;
error_log %%TESTDIR%%/error.log notice;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_control unix:%%TESTDIR%%/control.sock;
    tollgate_tier free { requests 1000r/d; }
    tollgate_price * input=1000 output=1000;

    tollgate_limit per_address key=$binary_remote_addr requests=2r/d auth_failures=2r/d;
    tollgate_limit per_tenant  key=$tollgate_tenant budget=0.003/month concurrency=5;
    tollgate_limit everybody   key=all requests=2r/d;
    tollgate_limit per_team    key=$http_x_team requests=2r/d tokens=1m/d;

    set_real_ip_from  127.0.0.1;
    real_ip_header    X-Real-IP;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            tollgate_apply  per_tenant;
            proxy_pass      http://127.0.0.1:8081;
        }

        location /address/ {
            tollgate_apply  per_address;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /everybody/ {
            tollgate_apply  everybody;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /team/ {
            tollgate_apply  per_team;
            proxy_pass      http://127.0.0.1:8081/;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	{ key => 'key-one', client => 'one', tenant => 'north', tier => 'free' },
	{ key => 'key-two', client => 'two', tenant => 'north', tier => 'free' },
	{ key => 'key-three', client => 'three', tenant => 'south', tier => 'free' },
));
start_engine($t, 8081);
$t->run();

my $path = "$d/control.sock";

###############################################################################

# By address.

for my $address ('192.0.2.1', '192.0.2.2', '2001:db8::1') {
	is(from($address), 200, "$address is let in") for 1 .. 2;
	is(from($address), 429, "$address is refused");
}
my ($exit, $out, $err) = command('show', 'per_address', '192.0.2.1');
is("$exit$err", '0', 'a limit is shown');
like($out, qr/^per_address, 192\.0\.2\.1\n\n/, 'whose it is');
like($out, qr/^per_address requests 2r\/d +2 +0 +2 +100%  in \d+ hours$/m, 'what is left');
like($out, qr/^per_address auth_failures 2r\/d +0 +2 +2 +0%  is full$/m, 'also of wrong credentials');
($exit, $out) = command('reset', 'per_address', '192.0.2.1');
is("$exit $out", "0 per_address, 192.0.2.1: all limits anew\n", 'it begins anew');
is(from('192.0.2.1'), 200, 'and the address is let in') for 1 .. 2;
is(from('192.0.2.1'), 429, 'as often as at first');
is(from('192.0.2.2'), 429, 'another one is not');
like($t->read_file('error.log'),
	qr/\[notice\].*by order of process \d+ of user 0, tollgate_limit "per_address" begins anew for "192\.0\.2\.1"/,
	'the error log says who did it');

# IPv6 is counted by /64.
is_deeply(control($path, 'reset_limit', name => 'per_address', key => '2001:db8::ffff'), { reset => { slots => 1 } },
	'an address of the same network');
is(from('2001:db8::1'), 200, 'is the same');

# Who is locked out.
is(guess('192.0.2.9'), 401, 'a wrong key') for 1 .. 2;
is(guess('192.0.2.9'), 429, 'locked out');
is(from('192.0.2.9'), 429, 'with a good key, too');
($exit, $out, $err) = command('reset', 'per_address', '192.0.2.9', '--limit', 'requests');
is("$exit$out", '1', 'of its requests, nothing was used');
is(from('192.0.2.9'), 429, 'and it stays locked out');
($exit, $out) = command('reset', 'per_address', '192.0.2.9', '--limit', 'auth_failures');
is("$exit $out", "0 per_address, 192.0.2.9: auth_failures anew\n", 'what it did is forgiven');
is(from('192.0.2.9'), 200, 'and it is let in');

# By tenant: all of its clients.

is(status(complete(client => 'one', max => 1)), 200, 'a budget of a tenant is used');
is(status(complete(client => 'three', max => 1)), 200, 'that of another one');
is(status(complete(client => 'two', max => 1)), 429, 'all clients of the tenant share it');
my $seen = control($path, 'limit', name => 'per_tenant', key => 'north');
is_deeply([@$seen{qw/name key/}, map { "$_->{name} $_->{used}" } @{$seen->{limits}}],
	['per_tenant', 'north', 'per_tenant budget 0.003/month 0.002', 'per_tenant concurrency 5 0'], 'as JSON')
	or diag(explain $seen);
($exit, $out) = command('reset', 'per_tenant', 'north', '--limit', 'budget');
is($exit, 0, 'it begins anew');
is(status(complete(client => 'two', max => 1)), 200, 'for all of them');
is(status(complete(client => 'three', max => 1)), 429, 'and for no other tenant');

# By what the configuration names, and by what a client sends.

for my $case (['everybody', 'all', '/everybody/v1/models'], ['per_team', "r&d \x{e9}", '/team/v1/models']) {
	my ($name, $key, $uri) = @$case;
	utf8::encode(my $sent = $key);
	my $look = sub { status(get($uri, 'Authorization: Bearer key-one', "X-Team: $sent")) };
	is($look->(), 200, "$name: a request") for 1 .. 2;
	is($look->(), 429, "$name: spent");
	is_deeply(control($path, 'reset_limit', name => $name, key => "not $key"), { reset => { slots => 0 } },
		"$name: of another key nothing begins anew");
	is_deeply(control($path, 'reset_limit', name => $name, key => $key, limit => 'requests'),
		{ reset => { slots => 1 } }, "$name: it begins anew");
	is($look->(), 200, "$name: let in");
}

# What can't be.

($exit, $out, $err) = command('show', 'per_adress', '192.0.2.1');
is("$exit$out", '1', 'no such limit');
like($err, qr/no tollgate_limit is called "per_adress"/, 'which is told');
is(control($path, 'limit', name => 'nobody', key => 'a'), 'unknown_limit', 'as a word, too');
is(control($path, 'limit', name => 'per_address', key => $_), 'malformed', "no address: '$_'")
	for '', '192.0.2', 'localhost', '192.0.2.0/24';
is(control($path, 'limit', name => 'per_team', key => ''), 'malformed', 'nobody has an empty key');
is(control($path, 'reset_limit', name => 'per_team', key => 'a', limit => 'concurrency'), 'malformed',
	'what can not begin anew');
($exit, $out, $err) = command('show', 'per_address', "x\e[31m");
is($exit, 2, 'a key that is none');
unlike($out . $err, qr/\e/, 'is not sent to the terminal');
is(control($path, 'limit', name => 'per_address', key => 'unix:')->{key}, 'unix:', 'clients of a unix socket are one');

###############################################################################

sub from {
	my ($address, $key) = @_;
	return status(get('/address/v1/models', 'Authorization: Bearer ' . ($key // 'key-one'), "X-Real-IP: $address"));
}

sub guess {
	my ($address) = @_;
	return from($address, 'no-such-key');
}

# Exit status, output and errors of "tollgate limit".
sub command {
	my (@arguments) = @_;
	local %ENV = (%ENV, TOLLGATE_CONTROL => $path);
	my $command = join ' ', map { "'$_'" } $cli, 'limit', @arguments;
	my $out = `$command 2>$d/command.err`;
	my $exit = $? >> 8;
	open my $file, '<', "$d/command.err" or die "Can't open command.err: $!\n";
	local $/;
	return ($exit, $out, scalar(<$file>) // '');
}

###############################################################################
