package Tollgate::Control;

# The socket of tollgate_control: a line asks, a line answers.

use strict;
use warnings;

use Exporter qw/import/;
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP qw//;
use Tollgate qw/json/;

our @EXPORT = qw/control control_line control_open control_answer/;

# Only a failing test waits so long.
use constant PATIENCE => 60;

# A connection; undef where there is none.
sub control_open {
	my ($path) = @_;
	return IO::Socket::UNIX->new(Peer => $path);
}

# What comes until the connection ends; undef if it doesn't.
sub control_answer {
	my ($socket) = @_;
	my ($select, $text) = (IO::Select->new($socket), '');
	while ($select->can_read(PATIENCE)) {
		my $got = sysread $socket, $text, 1 << 16, length $text;
		return $text unless $got;
	}
	return undef;
}

# The answer to this text.
sub control_line {
	my ($path, $text) = @_;
	my $socket = control_open($path) or return undef;
	local $SIG{PIPE} = 'IGNORE';
	syswrite $socket, $text;
	return control_answer($socket);
}

# The answer to a request with these members: what is in "ok", or the word of the error.
sub control {
	my ($path, $command, %members) = @_;
	my $text = control_line($path, json({ command => $command, %members }) . "\n");
	my $answer = eval { JSON::PP->new->utf8->decode($text // '') } // return undef;
	return $answer->{ok} // $answer->{error}{code};
}

1;
