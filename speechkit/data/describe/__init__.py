"""What a corpus holds, how diverse its texts are and what it shares with others: `speechkit data describe`."""
