#!/usr/bin/perl

# A change of a keys file is in force in every worker without a reload, however the file is changed. A
# broken file changes nothing, and is told once, with what is wrong in it; so is one that is removed.

use warnings;
use strict;

use Test::More;

use POSIX qw/ strftime /;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file json /;
use Tollgate::Client;
use Tollgate::Live;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(166);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier free { }
    tollgate_tier pro  { }

    add_header X-Reason $tollgate_reason always;
    keepalive_requests 1000000;

    server {
        # Connections are spread over all workers.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081/;
        }

        location /tier {
            tollgate_api_keys keys.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /other {
            tollgate_api_keys other.json;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /fence {
            tollgate_api_keys fence.json;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
        }

        location /failed {
            tollgate off;
            return 200 $tollgate_failed_loads;
        }
    }

    server {
        listen       127.0.0.1:8080;
        server_name  second;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081/;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 $http_x_client_id;
        }

        location /tier {
            return 200 $http_x_client_tier;
        }
    }
}

EOF

my ($true, $false) = (JSON::PP::true(), JSON::PP::false());
my $alice = { id => 'k_alice', key => 'key-alice', client => 'alice', tier => 'free' };
my $bob = { id => 'k_bob', key => 'key-bob', client => 'bob', tier => 'free' };
my ($as_alice, $as_bob, $as_carol) = map { "X-API-Key: key-$_" } qw/alice bob carol/;
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file($alice));
$t->write_file('other.json', keys_file($alice));
$t->write_file('fence.json', keys_file($alice));
$t->run();
live_in($d);

###############################################################################

is(everywhere('/', $as_alice), '200 alice', 'a key that was there at start');
is(everywhere('/', $as_bob), '401 invalid_credential', 'one that was not');

# the life of a key

put('keys.json', keys_file($alice, $bob));
becomes('200 bob', '/', $as_bob, 'added');

put('keys.json', keys_file($alice, { %$bob, disabled => $true }));
becomes('401 revoked_credential', '/', $as_bob, 'disabled');
is(everywhere('/', $as_alice), '200 alice', 'disabled: another one is not');

put('keys.json', keys_file($alice, { %$bob, disabled => $false }));
becomes('200 bob', '/', $as_bob, 'enabled');

put('keys.json', keys_file($alice, { %$bob, revoked => '2026-01-01T00:00:00Z' }));
becomes('401 revoked_credential', '/', $as_bob, 'revoked');

put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'removed');

put('keys.json', keys_file($bob, $alice));
becomes('200 bob', '/', $as_bob, 'restored');
is(everywhere('/', $as_alice), '200 alice', 'restored: the other one, now in another place');

put('keys.json', keys_file($alice, { %$bob, client => 'robert', tier => 'pro' }));
becomes('200 robert', '/', $as_bob, 'of another client');
is(everywhere('/tier', $as_bob), '200 pro', 'of another tier');

put('keys.json', keys_file($alice, { %$bob, cidrs => ['203.0.113.0/24'] }));
becomes('403 address_denied', '/', $as_bob, 'from elsewhere only');

put('keys.json', keys_file($alice, { %$bob, key => 'key-carol' }));
becomes('200 bob', '/', $as_carol, 'another key of the same id');
is(everywhere('/', $as_bob), '401 invalid_credential', 'the key that had it');

# Nothing changes the file when the time has come.
put('keys.json', keys_file($alice, { %$bob, expires => at(2) }));
becomes('401 expired_credential', '/', $as_bob, 'expired');
put('keys.json', keys_file($alice, { %$bob, expires => at(3600) }));
becomes('200 bob', '/', $as_bob, 'expires later');
put('keys.json', keys_file($alice, { %$bob, expires => at(-3600) }));
becomes('401 expired_credential', '/', $as_bob, 'expires earlier');
put('keys.json', keys_file($alice, { %$bob, not_before => at(3600) }));
becomes('401 not_yet_valid', '/', $as_bob, 'not yet');
put('keys.json', keys_file($alice, { %$bob, not_before => at(1) }));
becomes('200 bob', '/', $as_bob, 'valid when its time has come');

is(join('', told('keys.json')), '', 'nothing to be told');

# ways to change it

put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'by a rename');
in_place('keys.json', keys_file($alice, $bob));
becomes('200 bob', '/', $as_bob, 'in place, in pieces');
in_place('keys.json', keys_file({ %$bob, client => 'boy' }));
becomes('200 boy', '/', $as_bob, 'in place, shorter');
in_place('keys.json', keys_file({ %$bob, client => 'joy' }));
becomes('200 joy', '/', $as_bob, 'in place, as long as before');

# With the times of the file that was there.
my @times = (stat "$d/keys.json")[8, 9];
$t->write_file('keys.json.new', keys_file({ %$bob, client => 'toy' }));
utime @times, "$d/keys.json.new";
rename "$d/keys.json.new", "$d/keys.json";
becomes('200 toy', '/', $as_bob, 'as long as before, and as old');

link_to('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'by a link in its place');
link_to('keys.json', keys_file($alice, $bob));
becomes('200 bob', '/', $as_bob, 'by a folder that is replaced');
link_to('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'and again');
in_place('keys.json', keys_file($alice, $bob));
becomes('200 bob', '/', $as_bob, 'in place, behind the links');
put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'a file in place of the links');

# What was seen half written has been told.
told('keys.json');

# a broken file changes nothing, and is told once

my $good = keys_file($alice, $bob);
put('keys.json', $good);
becomes('200 bob', '/', $as_bob, 'good');

my $without_alice = keys_file($bob, { %$bob, id => 'k_carol', key => 'key-carol' });
my @broken = (
	['cut off', substr($without_alice, 0, -20), 'keys file is not one json object'],
	['empty', '', 'keys file is not one json object'],
	['a byte order mark', "\xef\xbb\xbf$without_alice", 'byte order mark'],
	['another version', '{"version": 2, "keys": []}', 'field "version"'],
	['a list', '[]', 'is not a json object'],
	['two documents', $without_alice x 2, 'keys file is not one json object'],
	['an unknown field of the file', '{"version": 1, "keys": [], "users": []}', 'field "users"'],
);
my $failed = failed();
for my $case (@broken) {
	my ($name, $content, $wrong) = @$case;
	put('keys.json', $content);
	my @lines = told('keys.json', 1);
	stays('200 alice', '/', $as_alice, "$name: the keys of before stay");
	push @lines, told('keys.json');
	is(scalar @lines, 1, "$name: told once") or diag(@lines);
	like($lines[0], qr/\[error\].*\Q$wrong\E.*stays in force/, "$name: what is wrong");
}

is(failed() - $failed, @broken, 'broken: each is counted, once');

put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'repaired');
is(join('', told('keys.json')), '', 'repaired: nothing to be told');

# What is wrong with one entry is the matter of that key alone. Others come, go and are revoked.

my $revoked = { %$alice, revoked => '2026-01-01T00:00:00Z' };
my $carol = { id => 'k_carol', key => 'key-carol', client => 'carol', tier => 'free' };
my @wrong = (
	['a bad date', 'key "k_bob": field "expires"', { %$bob, expires => 'tomorrow' }],
	['an unknown field', 'key "k_bob": field "owner"', { %$bob, owner => 'acme' }],
	['a bad network', 'key "k_bob": field "cidrs"', { %$bob, cidrs => ['10.0.0.1/8'] }],
	['no client', 'key "k_bob": field "client"', { id => 'k_bob', key => 'key-bob' }],
	['null', 'key "k_bob": field "tier"', { %$bob, tier => undef }],
	['a hash twice', 'key "k_boy": field "hash"', $bob, { %$bob, id => 'k_boy', client => 'boy' }],
	['an id twice', 'key "k_carol": field "id"', $carol, { %$bob, id => 'k_carol' }],
	['an unknown tier', 'key "k_bob": field "tier" names the tier "gold"', { %$bob, tier => 'gold' }],
);
$failed = failed();
for my $case (@wrong) {
	my ($name, $wrong, @entries) = @$case;
	my $own = grep { $_->{id} eq 'k_carol' } @entries;
	put('keys.json', keys_file($alice));
	becomes('200 alice', '/', $as_alice, "$name: a key is in force");
	put('keys.json', keys_file(@entries, $revoked, $own ? () : $carol));
	becomes('401 revoked_credential', '/', $as_alice, "$name: it is revoked");
	is(everywhere('/', $as_carol), '200 carol', "$name: another one comes");
	is(everywhere('/', $as_bob), $name =~ /tier/ ? '403 tier_denied' : '401 invalid_credential',
		"$name: that key is refused");
	my @lines = told('keys.json', 1);
	# What is told is not told again with each change.
	put('keys.json', keys_file(@entries, $revoked, $own ? () : $carol, { %$alice, key => 'key-dora' , id => 'k_d' }));
	becomes('200 alice', '/', 'X-API-Key: key-dora', "$name: and another one");
	push @lines, told('keys.json');
	is(scalar @lines, 1, "$name: told once") or diag(@lines);
	like($lines[0], qr/\[(error|warn)\].*\Q$wrong\E.*that key is refused/, "$name: what is wrong");
}
is(failed() - $failed, @wrong, 'one entry that is wrong: each is counted, once');
$failed = failed() - @broken;

# A key that is there twice, and revoked once, is revoked, whichever comes first.
for my $entries ([{ %$bob, id => 'k_old', revoked => '2026-01-01T00:00:00Z' }, $bob],
	[$bob, { %$bob, id => 'k_old', disabled => $true }]) {
	put('keys.json', keys_file($alice, $bob));
	becomes('200 bob', '/', $as_bob, 'twice, and revoked once: before');
	put('keys.json', keys_file($alice, @$entries));
	becomes('401 revoked_credential', '/', $as_bob, 'twice, and revoked once');
}
told('keys.json');
$failed = failed() - @broken;

put('keys.json', keys_file({ %$bob, id => 'tg_' . 'x' x 43 }, $alice));
my ($line) = told('keys.json', 1);
like($line, qr/keys\[0\].*field "id" holds a key/, 'a key where an id should be');
unlike($line, qr/xxxx/, 'a key where an id should be is not told');
becomes('200 alice', '/', $as_alice, 'a key where an id should be: the others');

# a file that is removed

put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'there');
told('keys.json');
unlink "$d/keys.json";
my @lines = told('keys.json', 1);
stays('200 alice', '/', $as_alice, 'removed: the keys of before stay');
push @lines, told('keys.json');
is(scalar @lines, 1, 'removed: told once') or diag(@lines);
like($lines[0], qr/stays in force/, 'removed: what is done');
is(failed() - $failed, @broken + 2, 'removed: is counted');
put('keys.json', keys_file($alice, $bob));
becomes('200 bob', '/', $as_bob, 'there again');

# A folder is no file.
unlink "$d/keys.json";
mkdir "$d/keys.json";
ok(scalar(told('keys.json', 1)), 'a folder: told');
stays('200 bob', '/', $as_bob, 'a folder: the keys of before stay');
rmdir "$d/keys.json";
put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'a file again');
told('keys.json');

# a set without keys

put('keys.json', keys_file());
becomes('401 invalid_credential', '/', $as_alice, 'no keys: everybody is refused');
@lines = told('keys.json', 1);
stays('401 invalid_credential', '/', $as_alice, 'no keys: as long as there are none');
push @lines, told('keys.json');
is(scalar @lines, 1, 'no keys: told once') or diag(@lines);
like($lines[0], qr/\[warn\]/, 'no keys: a warning');
put('keys.json', keys_file($alice));
becomes('200 alice', '/', $as_alice, 'no keys: keys again');

# of many changes in quick succession the last one stays

put('keys.json', keys_file($alice, { %$bob, client => "bob-$_" })) for 1 .. 100;
becomes('200 bob-100', '/', $as_bob, 'a hundred changes');
stays('200 bob-100', '/', $as_bob, 'a hundred changes: for good');
for (1 .. 20) {
	put('keys.json', substr $good, 0, $_);
	put('keys.json', keys_file($alice, { %$bob, client => "bob-$_" }));
}
becomes('200 bob-20', '/', $as_bob, 'some of them broken');
put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'and one more');
told('keys.json');

# each file for itself

put('other.json', keys_file({ %$alice, client => 'other' }, $bob));
becomes('200 other', '/other', $as_alice, 'two files: the one that is changed');
is(everywhere('/other', $as_bob), '200 bob', 'two files: with all of its keys');
is(everywhere('/', $as_alice), '200 alice', 'two files: the other one');
is(everywhere('/', $as_bob), '401 invalid_credential', 'two files: without the keys of the first');
put('other.json', '');
is(scalar(told('other.json', 1)), 1, 'two files: one is broken');
put('keys.json', $good);
becomes('200 bob', '/', $as_bob, 'two files: the other one is read');
is(everywhere('/other', $as_alice), '200 other', 'two files: the broken one stays as it was');
put('other.json', keys_file($alice));
becomes('401 invalid_credential', '/other', $as_bob, 'two files: until it is repaired');

# two servers with one file

put('keys.json', keys_file({ %$alice, disabled => $true }, $bob));
becomes('401 revoked_credential', '/', $as_alice, 'two servers: the first one');
is(second($as_alice), 401, 'two servers: the second one');
is(second($as_bob), 200, 'two servers: another key in the second one');

# reload

put('keys.json', keys_file($alice));
reload_and_wait($t);
live_in($d);
is(everywhere('/', $as_alice), '200 alice', 'reload: the file as it is');
is(everywhere('/', $as_bob), '401 invalid_credential', 'reload: and nothing of before');
put('keys.json', $good);
becomes('200 bob', '/', $as_bob, 'reload: a change after it');

# As ever, nginx does not take a configuration with a broken file. The keys of before stay.
put('keys.json', substr $good, 0, -9);
is(scalar(told('keys.json', 1)), 1, 'reload: a broken file');
$t->reload();
like((told('keys.json', 1))[0], qr/\[emerg\].*is not one json object/, 'reload: is refused');
stays('200 bob', '/', $as_bob, 'reload: the keys of before stay');
put('keys.json', keys_file($alice));
becomes('401 invalid_credential', '/', $as_bob, 'reload: a change after that');

# One entry is no reason to refuse a configuration while nginx runs.
put('keys.json', keys_file($alice, { %$bob, tier => 'gold' }, { %$carol, owner => 'acme' }));
becomes('403 tier_denied', '/', $as_bob, 'reload: entries that are wrong');
told('keys.json', 2);
reload_and_wait($t);
live_in($d);
my @again = told('keys.json', 2);
is(scalar(grep { /\[warn\].*names the tier "gold".*refused|\[error\].*field "owner".*refused/ } @again), 2,
	'reload: they are told');
is(everywhere('/', $as_bob), '403 tier_denied', 'reload: one that names an unknown tier');
is(everywhere('/', $as_carol), '401 invalid_credential', 'reload: one with an unknown field');
is(everywhere('/', $as_alice), '200 alice', 'reload: the others are in force');
put('keys.json', keys_file($revoked));
becomes('401 revoked_credential', '/', $as_alice, 'reload: and are revoked');
put('keys.json', keys_file($alice));
becomes('200 alice', '/', $as_alice, 'reload: and come back');

# a file of another name

$conf =~ s/tollgate_api_keys keys\.json;/tollgate_api_keys renamed.json;/g;
$t->write_file('renamed.json', keys_file($bob));
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
live_in($d);
is(everywhere('/', $as_alice), '401 invalid_credential', 'reload: another file');
put('keys.json', $good);
stays('401 invalid_credential', '/', $as_alice, 'reload: that of before is nothing any more');
put('renamed.json', keys_file($alice));
becomes('200 alice', '/', $as_alice, 'reload: the other one is');

###############################################################################

# A moment, so many seconds from now.
sub at {
	my ($seconds) = @_;
	return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time() + $seconds));
}

# How many changes could not be taken into use.
sub failed {
	my ($count) = http("GET /failed HTTP/1.0\r\nHost: localhost\r\n\r\n") =~ /(\d+)$/;
	return $count;
}

# The status that the second server gives.
sub second {
	my ($line) = @_;
	my $response = http("GET / HTTP/1.0\r\nHost: second\r\n$line\r\n\r\n");
	return ($response =~ /^HTTP\/\S+ (\d+)/)[0];
}

###############################################################################
